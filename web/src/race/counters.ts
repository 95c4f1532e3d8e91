import type { Bus, TransportName } from "@tricast/client";
import type { Middlebox } from "../middlebox.ts";
import { TRANSPORTS } from "../ui/transports.ts";

/** Since some moment in the past. */
export interface Usage {
  readonly requests: number;
  readonly up: number;
  readonly down: number;
}

export type UsageByTransport = Readonly<Record<TransportName, Usage>>;

export interface Counter {
  /** Who counts: it goes into the result. */
  readonly where: "middlebox" | "page";
  read(buses: ReadonlyMap<TransportName, Bus>): Promise<UsageByTransport>;
  close(): void;
}

/** On the wire, with headers and frames. Other pages that use the middlebox are counted too. */
export class MiddleboxCounter implements Counter {
  readonly where = "middlebox";
  readonly #box: Middlebox;

  constructor(box: Middlebox) {
    this.#box = box;
  }

  async read(): Promise<UsageByTransport> {
    const { counters } = await this.#box.state();
    return counters.kinds;
  }

  close(): void {}
}

/** What the page sees: contents only, and as many requests as the browser reports when they end. */
export class PageCounter implements Counter {
  readonly where = "page";
  readonly #observer: PerformanceObserver;
  readonly #requests: Record<TransportName, number> = { ws: 0, sse: 0, poll: 0 };

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const { name } of list.getEntries()) {
        const kind = new URL(name).pathname.split("/").at(-1);
        const transport = TRANSPORTS.find((transport) => transport === kind);
        if (transport !== undefined) this.#requests[transport]++;
      }
      // The browser keeps only so many of them.
      performance.clearResourceTimings();
    });
    this.#observer.observe({ type: "resource", buffered: false });
  }

  async read(buses: ReadonlyMap<TransportName, Bus>): Promise<UsageByTransport> {
    const usage = (name: TransportName): Usage => {
      const stats = buses.get(name)?.stats;
      return { requests: this.#requests[name], up: stats?.bytesSent ?? 0, down: stats?.bytesReceived ?? 0 };
    };
    return { ws: usage("ws"), sse: usage("sse"), poll: usage("poll") };
  }

  close(): void {
    this.#observer.disconnect();
  }
}

export function difference(before: Usage, after: Usage): Usage {
  return {
    requests: after.requests - before.requests,
    up: after.up - before.up,
    down: after.down - before.down,
  };
}
