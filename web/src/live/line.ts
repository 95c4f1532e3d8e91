import { type Bus, ConnectFailed, connect, type Gap, type Message, type TransportName } from "@tricast/client";
import { TRANSPORTS } from "../ui/transports.ts";
import { isNotAfter, type Position, position } from "./position.ts";

export type Mode = "auto" | TransportName;
export type TimelineRecord = Bus["timeline"][number];

/** How long a bus that is left may still wait for what was published through it. */
const SETTLE_MS = 10_000;
/** Seconds for another transport to open, or for the first. */
const OPEN_TIMEOUT = 8;

/** One bus of the line. When the user wants another transport there are two for a moment. */
interface Leg {
  readonly bus: Bus;
  readonly mode: Mode;
  /** The last message that came on this leg. */
  last: Position | null;
  publishing: number;
  isOpen: boolean;
}

export interface LineEvents {
  /** Once each, in order. `isAgain`: one bus brought it twice or out of order, which it has promised not to do. */
  message: (message: Message, transport: TransportName, isAgain: boolean) => void;
  gap: (gap: Gap) => void;
  /** What carries from now on; null while nothing does. */
  transport: (transport: TransportName | null) => void;
  record: (bus: Bus, record: TimelineRecord, mode: Mode) => void;
  uplink: (isBlocked: boolean) => void;
  /** The mode that was asked for works, and the one before is left. */
  switched: (mode: Mode) => void;
  /** It does not; `mode` goes on carrying. */
  stayed: (wanted: Mode, mode: Mode, why: string) => void;
  /** The server will not have us. */
  ended: (why: string) => void;
}

export interface LineOptions {
  readonly url: URL;
  readonly topic: string;
  readonly client: string;
  readonly cursor: string | null;
  readonly mode: Mode;
}

/**
 * The bus whose transport the user may choose while messages flow. Another choice opens a second bus at the cursor of
 * the first one, and leaves the first when the second works. Both bring the same messages for a while; by their
 * cursors each is taken once.
 */
export class Line {
  readonly #options: LineOptions;
  readonly #on: LineEvents;
  #current: Leg;
  #next: Leg | null = null;
  #left = new Set<Leg>();
  #taken: Position | null = null;
  #takenFrom: Leg | null = null;
  #gaps = new Set<string>();
  #bytes = { received: 0, sent: 0 };
  #isClosed = false;

  constructor(options: LineOptions, on: LineEvents) {
    this.#options = options;
    this.#on = on;
    this.#current = this.#open(options.mode, options.cursor);
    this.#await(this.#current);
  }

  get mode(): Mode {
    return (this.#next ?? this.#current).mode;
  }

  get transport(): TransportName | null {
    return this.#current.bus.transport;
  }

  /** Another bus may go on from here; null before the first hello. */
  get cursor(): string | null {
    return this.#current.bus.cursor ?? this.#options.cursor;
  }

  /** What all buses of this line have seen of it, as the page counts. */
  get bytes(): { received: number; sent: number } {
    const { stats } = this.#current.bus;
    return { received: this.#bytes.received + stats.bytesReceived, sent: this.#bytes.sent + stats.bytesSent };
  }

  select(mode: Mode): void {
    if (this.#next !== null) this.#abandon(this.#next);
    this.#next = null;
    if (this.#current.mode === mode && this.#current.isOpen) {
      this.#on.switched(mode);
      return;
    }
    const leg = this.#open(mode, this.cursor);
    // Where nothing works there is nothing to hold on to.
    if (!this.#current.isOpen) {
      this.#abandon(this.#current);
      this.#current = leg;
    } else this.#next = leg;
    this.#await(leg);
  }

  async publish(data: unknown): Promise<string> {
    const leg = this.#current;
    leg.publishing++;
    try {
      return await leg.bus.publish(this.#options.topic, data as never);
    } finally {
      leg.publishing--;
      if (leg.publishing === 0 && this.#left.has(leg)) void this.#close(leg);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const legs = [this.#current, ...(this.#next === null ? [] : [this.#next]), ...this.#left];
    await Promise.all(legs.map((leg) => leg.bus.close()));
  }

  #open(mode: Mode, cursor: string | null): Leg {
    const { url, topic, client } = this.#options;
    const transports = mode === "auto" ? [...TRANSPORTS] : [mode];
    const bus = connect(url, {
      topics: [topic],
      client,
      transports,
      openTimeout: OPEN_TIMEOUT,
      ...(cursor === null ? {} : { cursor }),
    });
    const leg: Leg = { bus, mode, last: null, publishing: 0, isOpen: false };
    const isMine = () => !this.#isClosed && leg === this.#current;
    const listen = <T>(name: string, hear: (detail: T) => void) =>
      bus.addEventListener(name, (event) => hear((event as CustomEvent<T>).detail));
    listen<Message>("message", (message) => this.#take(leg, message));
    listen<Gap>("gap", (gap) => this.#lack(gap));
    listen<TimelineRecord>("timeline", (record) => {
      if (this.#isClosed || this.#left.has(leg)) return;
      this.#on.record(bus, record, mode);
    });
    listen<{ transport: TransportName | null }>(
      "transport",
      ({ transport }) => isMine() && this.#on.transport(transport),
    );
    listen<unknown>("uplink", () => isMine() && this.#on.uplink(bus.uplink === "blocked"));
    listen<unknown>("error", (error) => {
      if (!isMine() || !leg.isOpen) return;
      leg.isOpen = false;
      this.#on.ended(words(error));
    });
    return leg;
  }

  async #await(leg: Leg): Promise<void> {
    try {
      await leg.bus.opened;
    } catch (error) {
      if (!this.#isClosed) this.#fail(leg, error);
      return;
    }
    leg.isOpen = true;
    if (leg === this.#next) {
      const old = this.#current;
      this.#current = leg;
      this.#next = null;
      this.#leave(old);
      this.#on.transport(leg.bus.transport);
    } else if (leg !== this.#current) return;
    this.#on.switched(leg.mode);
    this.#on.uplink(leg.bus.uplink === "blocked");
  }

  #fail(leg: Leg, error: unknown): void {
    if (leg === this.#next) {
      this.#next = null;
      this.#on.stayed(leg.mode, this.#current.mode, words(error));
    } else if (leg === this.#current) {
      if (error instanceof ConnectFailed) {
        // Nothing has worked in all its time: again, for as long as the page is there.
        this.#current = this.#open(leg.mode, this.cursor);
        this.#await(this.#current);
      } else this.#on.ended(words(error));
    }
  }

  /** Closes it when everything that was published through it is settled. */
  #leave(leg: Leg): void {
    this.#left.add(leg);
    if (leg.publishing === 0) void this.#close(leg);
    else setTimeout(() => this.#close(leg), SETTLE_MS);
  }

  #abandon(leg: Leg): void {
    this.#left.add(leg);
    void this.#close(leg);
  }

  async #close(leg: Leg): Promise<void> {
    if (!this.#left.delete(leg)) return;
    await leg.bus.close();
    this.#bytes.received += leg.bus.stats.bytesReceived;
    this.#bytes.sent += leg.bus.stats.bytesSent;
  }

  #take(leg: Leg, message: Message): void {
    if (this.#isClosed) return;
    const at = position(message.cursor);
    const isAgain = leg.last !== null && isNotAfter(at, leg.last);
    if (!isAgain) leg.last = at;
    if (!isAgain && this.#taken !== null && this.#takenFrom !== leg && isNotAfter(at, this.#taken)) return; // the other leg had it
    if (!isAgain) {
      this.#taken = at;
      this.#takenFrom = leg;
    }
    this.#on.message(message, leg.bus.transport ?? "ws", isAgain);
  }

  /** Two legs may tell of one gap. */
  #lack(gap: Gap): void {
    const key = `${gap.reason} ${gap.cursor} ${gap.topics.join()}`;
    if (this.#isClosed || this.#gaps.has(key)) return;
    this.#gaps.add(key);
    if (gap.reason === "epoch") this.#taken = null;
    this.#on.gap(gap);
  }
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
