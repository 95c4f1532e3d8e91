import { randomName } from "../random.ts";
import { IN_FLIGHT_MAX, isNumbered, type Numbered } from "./ledger.ts";

/** What the page publishes by itself. `sent`: milliseconds of this page's own clock. */
export interface FlowData extends Numbered {
  readonly sent: number;
}

const TICK_MS = 20;
const RATE_WINDOW_MS = 2000;

export interface FlowOptions {
  publish: (data: FlowData) => Promise<unknown>;
  /** A new series begins. */
  begin: (series: string) => void;
  failed: (error: unknown) => void;
}

/** Publishes numbered messages at a rate. What cannot be sent in time is left out, not made up for. */
export class Flow {
  readonly #options: FlowOptions;
  #rate = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #due = 0;
  #last = 0;
  #series = "";
  #n = 0;
  #acked = 0;
  #ackedEarly = new Set<number>();
  #inFlight = 0;
  #sent: number[] = [];

  constructor(options: FlowOptions) {
    this.#options = options;
  }

  get rate(): number {
    return this.#rate;
  }

  /** What was really acknowledged lately, per second. */
  get achieved(): number {
    const since = performance.now() - RATE_WINDOW_MS;
    while (this.#sent[0] !== undefined && this.#sent[0] < since) this.#sent.shift();
    return (this.#sent.length * 1000) / RATE_WINDOW_MS;
  }

  set rate(perSecond: number) {
    this.#rate = perSecond;
    this.#due = perSecond > 0 ? 1 : 0; // the first one goes at once
    this.#last = performance.now();
    clearInterval(this.#timer);
    if (perSecond > 0) this.#timer = setInterval(() => this.#tick(), Math.max(TICK_MS, 1000 / perSecond / 4));
    if (perSecond > 0) this.#tick();
  }

  #tick(): void {
    const now = performance.now();
    this.#due = Math.min(this.#due + ((now - this.#last) * this.#rate) / 1000, IN_FLIGHT_MAX);
    this.#last = now;
    for (; this.#due >= 1 && this.#inFlight < IN_FLIGHT_MAX; this.#due--) void this.#send();
  }

  async #send(): Promise<void> {
    if (this.#series === "") this.#renew();
    const series = this.#series;
    const n = ++this.#n;
    this.#inFlight++;
    try {
      await this.#options.publish({ series, n, acked: this.#acked, sent: performance.now() });
      this.#sent.push(performance.now());
      if (series !== this.#series) return;
      this.#ackedEarly.add(n);
      while (this.#ackedEarly.delete(this.#acked + 1)) this.#acked++;
    } catch (error) {
      // Nobody knows whether it stands in the log: its series cannot be counted on.
      if (series === this.#series) this.renew();
      this.#options.failed(error);
    } finally {
      this.#inFlight--;
    }
  }

  /** Begins a new series with the next message. */
  renew(): void {
    this.#series = "";
  }

  #renew(): void {
    this.#series = randomName(6);
    this.#n = this.#acked = 0;
    this.#ackedEarly.clear();
    this.#options.begin(this.#series);
  }
}

/** Reads what another page, or this one, has published. Null for what is something else. */
export function flowData(data: unknown): FlowData | null {
  if (typeof data !== "object" || data === null) return null;
  const { sent } = data as Record<string, unknown>;
  return isNumbered(data) && Number.isFinite(sent) ? (data as FlowData) : null;
}
