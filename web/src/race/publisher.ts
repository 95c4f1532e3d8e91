import type { RaceData } from "./lane.ts";

/** The server takes so many commands in one request. */
const BATCH_MAX = 100;

/** Publishes at a rate by `POST /send`, one request at a time; what falls due meanwhile goes with the next. */
export class Publisher {
  readonly #url: URL;
  readonly #topic: string;
  readonly #race: string;
  readonly #pad: string;
  readonly #rate: number;
  #isStopped = false;
  #running: Promise<void> | null = null;
  /** From when on messages count; before that they warm up. */
  counts = false;
  /** Of those that count. */
  sent = 0;
  requests = 0;
  failed = 0;
  #countedFor = 0;

  constructor(url: URL, topic: string, race: string, rate: number, size: number) {
    this.#url = new URL("send", url);
    this.#topic = topic;
    this.#race = race;
    this.#rate = rate;
    const bare = JSON.stringify(this.#data("")).length;
    this.#pad = "x".repeat(Math.max(0, size - bare));
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Messages per second that were really sent, of those that count. */
  get rate(): number {
    return this.#countedFor === 0 ? 0 : (this.sent * 1000) / this.#countedFor;
  }

  async #run(): Promise<void> {
    let due = 1;
    let last = performance.now();
    while (!this.#isStopped) {
      if (due < 1) await new Promise((wake) => setTimeout(wake, Math.min(50, ((1 - due) * 1000) / this.#rate)));
      const now = performance.now();
      if (this.counts && !this.#isStopped) this.#countedFor += now - last;
      due = Math.min(due + ((now - last) * this.#rate) / 1000, BATCH_MAX);
      last = now;
      if (due >= 1) {
        await this.#send(Math.floor(due));
        due -= Math.floor(due);
      }
    }
  }

  async #send(n: number): Promise<void> {
    const { counts } = this;
    const data = this.#data(this.#pad);
    const commands = Array.from({ length: n }, () => ({ action: "publish", topic: this.#topic, data }));
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        body: JSON.stringify(commands),
        signal: AbortSignal.timeout(10_000),
      });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const answers: { type: string }[] = await response.json();
      const refused = answers.filter(({ type }) => type !== "reply").length;
      this.failed += refused;
      if (counts) this.sent += n - refused;
      this.requests++;
      if (refused) await new Promise((wake) => setTimeout(wake, 200));
    } catch {
      this.failed += n;
      await new Promise((wake) => setTimeout(wake, 200));
    }
  }

  #data(pad: string): RaceData {
    return { race: this.#race, sent: performance.now(), counts: this.counts, pad };
  }
}
