import { type Bus, connect, type Message, type TransportName } from "@tricast/client";
import { Samples } from "./samples.ts";

/** What the race publishes. `sent`: milliseconds of this page's own clock; `counts`: the warming up is over. */
export interface RaceData {
  readonly race: string;
  readonly sent: number;
  readonly counts: boolean;
  readonly pad: string;
}

/** One transport in the race: a bus of its own that can use no other. */
export class Lane {
  readonly transport: TransportName;
  readonly bus: Bus;
  readonly samples = new Samples();
  /** All that came, those of the warming up too. */
  delivered = 0;
  /** Between the first and the last message that counts, by this page's clock. */
  first: number | null = null;
  last = 0;
  trouble: string | null = null;

  constructor(url: URL, topic: string, race: string, transport: TransportName) {
    this.transport = transport;
    this.bus = connect(url, { topics: [topic], transports: [transport], share: false, openTimeout: 8 });
    this.bus.addEventListener("message", (event) => this.#take((event as CustomEvent<Message>).detail, race));
    this.bus.addEventListener("error", (event) => {
      this.trouble = String((event as CustomEvent<Error>).detail?.message ?? "refused");
    });
  }

  /** Whether it is in the race. Never rejects. */
  async open(): Promise<boolean> {
    try {
      await this.bus.opened;
      return true;
    } catch (error) {
      this.trouble = (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
      return false;
    }
  }

  /** Messages per second of those that count. */
  get rate(): number | null {
    return this.first === null || this.last <= this.first
      ? null
      : ((this.samples.length - 1) * 1000) / (this.last - this.first);
  }

  #take(message: Message, race: string): void {
    const now = performance.now();
    const data = message.data as unknown as RaceData;
    if (data?.race !== race) return;
    this.delivered++;
    if (!data.counts) return;
    this.first ??= now;
    this.last = now;
    this.samples.add(now - data.sent);
  }
}
