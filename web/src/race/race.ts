import type { TransportName } from "@tricast/client";
import type { Page } from "../page.ts";
import { randomName } from "../random.ts";
import { TRANSPORTS } from "../ui/transports.ts";
import { type Counter, difference, MiddleboxCounter, PageCounter, type Usage } from "./counters.ts";
import { Lane } from "./lane.ts";
import { Publisher } from "./publisher.ts";

const WARM_UP_MS = 1000;
const STRAGGLERS_MS = 3000;

export interface Settings {
  readonly rate: number;
  readonly size: number;
  readonly seconds: number;
}

export interface LaneResult {
  readonly samples: number;
  readonly median: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  readonly messagesPerSecond: number | null;
  readonly bytesPerMessage: number | null;
  readonly bytesDownPerMessage: number | null;
  readonly bytesUpPerMessage: number | null;
  readonly requestsPerMessage: number | null;
  readonly trouble: string | null;
}

export interface Result {
  readonly format: 1;
  readonly at: string;
  readonly browser: string;
  readonly settings: Settings;
  readonly unit: "ms";
  readonly clockResolution: 0.1;
  readonly warmUpDropped: number;
  readonly countedAt: "middlebox" | "page";
  readonly published: number;
  readonly publishFailed: number;
  readonly publishedPerSecond: number;
  readonly messagesPerRequestOfPublisher: number;
  readonly faults: Readonly<Record<string, unknown>> | null;
  readonly transports: Readonly<Record<TransportName, LaneResult>>;
}

export type Phase = "opening" | "warming up" | "running" | "ending";

/** One race, from opening the buses to its result. */
export class Race {
  readonly lanes: readonly Lane[];
  readonly #publisher: Publisher;
  readonly #counter: Counter;
  readonly #page: Page;
  readonly #settings: Settings;
  #stop: () => void = () => {};
  readonly #stopped = new Promise<void>((resolve) => {
    this.#stop = resolve;
  });

  constructor(page: Page, settings: Settings) {
    const race = randomName(16);
    const topic = `race.${race.slice(0, 8)}`;
    this.#page = page;
    this.#settings = settings;
    this.#counter = page.middlebox === null ? new PageCounter() : new MiddleboxCounter(page.middlebox);
    this.lanes = TRANSPORTS.map((name) => new Lane(page.bus, topic, race, name));
    this.#publisher = new Publisher(page.bus, topic, race, settings.rate, settings.size);
  }

  get published(): number {
    return this.#publisher.sent;
  }

  stop(): void {
    this.#stop();
  }

  /** Returns null where it was stopped before anything counted. Rejects where nothing can be measured. */
  async run(tell: (phase: Phase) => void): Promise<Result | null> {
    const buses = new Map(this.lanes.map(({ transport, bus }) => [transport, bus]));
    try {
      tell("opening");
      const opened = await Promise.race([Promise.all(this.lanes.map((lane) => lane.open())), this.#stopped]);
      if (opened === undefined) return null;
      if (!opened.includes(true)) throw new Error("No transport opened, so there is nothing to race.");
      this.#publisher.start();
      tell("warming up");
      if (await this.#passes(WARM_UP_MS)) return null;
      const before = await this.#counter.read(buses);
      const came = this.lanes.map(({ delivered }) => delivered);
      this.#publisher.counts = true;
      tell("running");
      await this.#passes(this.#settings.seconds * 1000);
      await this.#publisher.stop();
      tell("ending");
      await this.#stragglers();
      const after = await this.#counter.read(buses);
      const faults = this.#page.middlebox === null ? null : (await this.#page.middlebox.state()).faults;
      const results = this.lanes.map((lane, place) => {
        const usage = difference(before[lane.transport], after[lane.transport]);
        return [lane.transport, result(lane, usage, lane.delivered - (came[place] ?? 0))] as const;
      });
      return this.#result(Object.fromEntries(results) as Record<TransportName, LaneResult>, faults);
    } finally {
      await this.#publisher.stop();
      await Promise.all(this.lanes.map(({ bus }) => bus.close()));
      this.#counter.close();
    }
  }

  /** Whether it was stopped meanwhile. */
  #passes(ms: number): Promise<boolean> {
    const over = new Promise<boolean>((resolve) => setTimeout(resolve, ms, false));
    return Promise.race([over, this.#stopped.then(() => true)]);
  }

  /** Waits for what is still under way. */
  async #stragglers(): Promise<void> {
    const until = performance.now() + STRAGGLERS_MS;
    const isDue = ({ trouble, samples }: Lane) => trouble === null && samples.length < this.#publisher.sent;
    while (performance.now() < until && this.lanes.some(isDue)) await new Promise((wake) => setTimeout(wake, 50));
  }

  #result(transports: Record<TransportName, LaneResult>, faults: Result["faults"]): Result {
    const { sent, failed, rate, requests } = this.#publisher;
    return {
      format: 1,
      at: new Date().toISOString(),
      browser: navigator.userAgent,
      settings: this.#settings,
      unit: "ms",
      clockResolution: 0.1,
      warmUpDropped: WARM_UP_MS,
      countedAt: this.#counter.where,
      published: sent,
      publishFailed: failed,
      publishedPerSecond: rounded(rate) ?? 0,
      messagesPerRequestOfPublisher: rounded(sent / Math.max(1, requests)) ?? 0,
      faults,
      transports,
    };
  }
}

function result(lane: Lane, usage: Usage, delivered: number): LaneResult {
  const { samples } = lane;
  const per = (value: number) => (delivered === 0 ? null : rounded(value / delivered, 4));
  return {
    samples: samples.length,
    median: rounded(samples.quantile(0.5)),
    p95: rounded(samples.quantile(0.95)),
    p99: rounded(samples.quantile(0.99)),
    max: rounded(samples.max),
    messagesPerSecond: rounded(lane.rate),
    bytesPerMessage: per(usage.up + usage.down),
    bytesDownPerMessage: per(usage.down),
    bytesUpPerMessage: per(usage.up),
    requestsPerMessage: per(usage.requests),
    trouble: lane.trouble,
  };
}

const rounded = (value: number | null, digits = 2): number | null =>
  value === null ? null : Number(value.toFixed(digits));
