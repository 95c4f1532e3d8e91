/** Tabs that share a stream, with locks and streams that are made up. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BadRequest, ConnectionLost } from "../src/index.js";
import { targetOf } from "../src/options.js";
import { Queue } from "../src/queue.js";
import type { Request } from "../src/session.js";
import { SharedLink } from "../src/share.js";
import { Link } from "../src/transports/base.js";
import type { Frame, Hello } from "../src/wire/messages.js";
import { until } from "./support/bus.js";
import { Locks } from "./support/locks.js";

const HELLO: Hello = {
  ...{ type: "hello", protocol: 1, transport: "sse", client: "c", cursor: "e-1", heartbeat: 15 },
  ...{ dedupe_window: 120, topics: [], node: "n" },
} as never;
const TARGET = targetOf("http://127.0.0.1:9", {});

let locks: Locks;
let tabs: Tab[];

beforeEach(() => {
  locks = new Locks();
  tabs = [];
  vi.stubGlobal("navigator", { locks });
});
afterEach(() => {
  for (const tab of tabs) tab.shared.close();
  vi.unstubAllGlobals();
});

/** A stream that brings what it is told to. */
class Stream extends Link {
  readonly name = "sse";
  readonly queue = new Queue<Frame>(Number.POSITIVE_INFINITY);
  request: Request | null = null;

  constructor(readonly refuses: (request: Request) => boolean) {
    super(TARGET);
  }

  override async *open(request: Request): AsyncGenerator<Frame, never> {
    this.request = request;
    if (this.refuses(request)) throw new BadRequest("no such topic");
    yield HELLO;
    for (;;) yield await this.queue.next();
  }

  get isOpen(): boolean {
    return this.request !== null && !this.life.signal.aborted;
  }

  override close(): void {
    super.close();
    this.queue.end(new ConnectionLost("the link was closed"));
  }

  protected override prod(): void {}

  message(at: number): void {
    this.queue.push({ type: "message", topic: "t", cursor: `e-${at}`, data: at, id: `${at}` } as never, 1);
  }
}

class Tab {
  readonly streams: Stream[] = [];
  readonly shared: SharedLink;
  readonly seen: unknown[] = [];
  error: unknown = null;
  #frames: AsyncGenerator<unknown, never>;

  constructor(topics: string[], refuses: (request: Request, streams: number) => boolean = () => false) {
    tabs.push(this);
    this.shared = new SharedLink(TARGET, () => {
      const stream = new Stream((request) => refuses(request, this.streams.length));
      this.streams.push(stream);
      return stream;
    });
    this.#frames = this.shared.open({ topics, cursor: "e-1", last: 0 });
  }

  /** Its part in a group begins with a hello; what comes then is read only by `read`. */
  async join(): Promise<this> {
    expect((await this.#frames.next()).value).toMatchObject({ type: "hello" });
    return this;
  }

  read(): this {
    const reading = async () => {
      for await (const frame of this.#frames) this.seen.push((frame as { data?: unknown }).data);
    };
    reading().catch((error) => {
      this.error = error;
    });
    return this;
  }

  get stream(): Stream | undefined {
    return this.streams.find((stream) => stream.isOpen);
  }

  async leads(): Promise<Stream> {
    await until(() => this.stream !== undefined, "it has a stream", 1);
    return this.stream as Stream;
  }

  async has(...data: unknown[]): Promise<void> {
    await until(() => this.seen.length >= data.length, `${data}`, 1);
    expect(this.seen).toEqual(data);
  }
}

const refusesBad = ({ topics }: Request) => topics.includes("bad");

test("a leader that does not read leaves the lead to another tab", async () => {
  const leader = await new Tab(["t"]).join();
  const other = (await new Tab(["t"]).join()).read();
  const first = await leader.leads();
  for (let at = 2; at <= 2102; at += 1) first.message(at);
  const next = await other.leads();
  expect(first.isOpen).toBe(false);
  const had = other.seen.length;
  next.message(3000);
  await until(() => other.seen.length > had, "what comes next", 1);
  expect(other.seen.at(-1)).toBe(3000);
  expect(other.error).toBe(null);
});

test("a leader that has to go alone leaves the lead to another tab", async () => {
  const lonely = (await new Tab(["bad"], (request, streams) => streams === 1 && refusesBad(request)).join()).read();
  const other = (await new Tab(["t"]).join()).read();
  (await other.leads()).message(2);
  await other.has(2);
  lonely.stream?.message(5);
  await lonely.has(5);
});

test("a tab that was sent away never leads, and its own stream goes on", async () => {
  const leader = (await new Tab(["t"], refusesBad).join()).read();
  const lonely = (await new Tab(["bad"]).join()).read();
  expect(lonely.stream?.request?.topics).toEqual(["bad"]);
  const other = (await new Tab(["t"]).join()).read();
  leader.shared.close();
  (await other.leads()).message(2);
  await other.has(2);
  const group = locks.names.find((name) => !name.startsWith("tricast-member-")) as string;
  await locks.request(group, { steal: true }, () => {});
  lonely.stream?.message(7);
  await lonely.has(7);
  expect(lonely.streams.length).toBe(1);
  expect(lonely.error).toBe(null);
});

test("a tab that was killed is forgotten", async () => {
  let kill = () => {};
  const dying = new Promise<void>((resolve) => {
    kill = resolve;
  });
  const leader = (await new Tab(["t"]).join()).read();
  locks.request("tricast-member-ghost", {}, () => dying);
  const channel = new BroadcastChannel(locks.names.find((name) => !name.startsWith("tricast-member-")) as string);
  channel.postMessage({ kind: "join", from: "ghost", topics: ["g"], cursor: "e-1", sure: true });
  channel.close();
  await until(() => !!leader.stream?.request?.topics.includes("g"), "the topic of another tab", 1);
  await new Tab(["u"]).join();
  expect(leader.stream?.request?.topics).toEqual(["t", "g", "u"]);
  kill();
  await new Tab(["v"]).join();
  expect(leader.stream?.request?.topics).toEqual(["t", "u", "v"]);
});

test("who has gone holds no lock", async () => {
  const tab = await new Tab(["t"]).join();
  expect(locks.names.length).toBe(2);
  tab.shared.close();
  await until(() => locks.names.length === 0, "both are given back", 1);
});
