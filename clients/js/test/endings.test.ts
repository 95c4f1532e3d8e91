/** What must not be left of what has ended: connections, listeners, timers. And what must not end. */

import { getEventListeners } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Action } from "../src/actions.js";
import { ConnectFailed, connect } from "../src/index.js";
import { Keeper, type Surroundings } from "../src/keeper.js";
import { followPage } from "../src/lifecycle.js";
import { Mailbox } from "../src/mailbox.js";
import { targetOf } from "../src/options.js";
import { type Owner, Runner } from "../src/runner.js";
import { Session } from "../src/session.js";
import { Timeline } from "../src/timeline.js";
import { type Answer, Link } from "../src/transports/base.js";
import { EventSourceLink } from "../src/transports/eventsource.js";
import { LongPollLink } from "../src/transports/longpoll.js";
import { WebSocketLink } from "../src/transports/websocket.js";
import type { Frame } from "../src/wire/messages.js";

const ADDRESS = "http://127.0.0.1:9";
const REQUEST = { topics: ["t"], cursor: "e-1", last: 0 };
const PUBLISH = { action: "publish", topic: "t", data: 1, id: "i" } as const;

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** One whose commands nobody answers. */
class DeafLink extends Link {
  readonly name = "ws";

  override async *open(): AsyncGenerator<Frame, never> {
    return await new Promise<never>((_, reject) => {
      this.life.signal.addEventListener("abort", () => reject(new ConnectFailed("the link was closed")));
    });
  }

  override send(): Promise<Answer> {
    return new Promise(() => {});
  }

  get isClosed(): boolean {
    return this.life.signal.aborted;
  }

  protected override prod(): void {}
}

function deafLink(): DeafLink {
  return new DeafLink(targetOf(ADDRESS, {}));
}

describe("a link that is closed while the token is fetched connects no more", () => {
  test.each([
    ["WebSocket", WebSocketLink],
    ["EventSource", EventSourceLink],
  ])("%s", async (name, SomeLink) => {
    let tell: (token: string) => void = () => {};
    const waiting = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const token = vi.fn(() => waiting);
    const constructed = vi.fn();
    const link = new SomeLink({ ...targetOf(ADDRESS, { token }), [name]: constructed });
    const first = expect(link.open(REQUEST).next()).rejects.toBeInstanceOf(ConnectFailed);
    expect(token).toHaveBeenCalled();
    link.close();
    tell("secret");
    await first;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(constructed).not.toHaveBeenCalled();
  });
});

describe("a look after a long poll", () => {
  test("lets the first one come to its end, and has a later one asked anew", async () => {
    const answers: ((cursor: string) => void)[] = [];
    const fetch = (_: unknown, { signal }: RequestInit) =>
      new Promise<Response>((resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
        answers.push((cursor) => resolve(new Response(JSON.stringify({ cursor, messages: [] }))));
      });
    const link = new LongPollLink(targetOf(ADDRESS, { fetch: fetch as never }));
    const frames = link.open(REQUEST);
    const first = frames.next();
    await vi.waitFor(() => expect(answers.length).toBe(1));
    link.check();
    answers[0]?.("e-1");
    expect((await first).value).toMatchObject({ type: "batch", cursor: "e-1" });
    const second = frames.next();
    await vi.waitFor(() => expect(answers.length).toBe(2));
    link.check();
    await vi.waitFor(() => expect(answers.length).toBe(3));
    answers[2]?.("e-2");
    expect((await second).value).toMatchObject({ cursor: "e-2" });
    link.close();
  });

  test("a first one that is closed has not connected", async () => {
    const fetch = (_: unknown, { signal }: RequestInit) =>
      new Promise<Response>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const link = new LongPollLink(targetOf(ADDRESS, { fetch: fetch as never }));
    const first = expect(link.open(REQUEST).next()).rejects.toBeInstanceOf(ConnectFailed);
    link.check();
    link.close();
    await first;
  });
});

test("a bus that has ended leaves nothing on the signal of its options", async () => {
  const { signal } = new AbortController();
  const bus = connect(ADDRESS, { signal, transports: ["poll"] });
  expect(getEventListeners(signal, "abort").length).toBe(1);
  await bus.close();
  expect(getEventListeners(signal, "abort").length).toBe(0);
});

describe("a link that is retired while a command is on its way", () => {
  test("has no timer left once it is cancelled", () => {
    vi.useFakeTimers();
    const link = deafLink();
    const runner = new Runner(link, new Session(["t"]), new Mailbox(10), "inbox", {} as Owner);
    runner.run();
    runner.send(PUBLISH, false);
    runner.retire();
    expect(link.isClosed).toBe(false);
    expect(vi.getTimerCount()).toBe(1);
    runner.cancel();
    expect(link.isClosed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("looks at nothing that it held", async () => {
    const greeting = { transport: "ws", client: "c", heartbeat: 15, dedupe_window: 120, topics: ["t"], node: "n" };
    const link = deafLink();
    link.open = async function* () {
      yield { type: "hello", ...greeting, cursor: "e-1" } as Frame;
      for (let n = 0; n < 2020; n += 1) yield { type: "message", topic: "t", cursor: `e-${n + 2}`, data: n } as Frame;
      throw new ConnectFailed("the link was closed");
    };
    const session = new Session(["t"]);
    const overtaken = vi.fn(() => {
      cursorReads.mockClear();
      runner.retire();
      return false;
    });
    const runner = new Runner(link, session, new Mailbox(10), "inbox", { greeted: () => {}, overtaken } as never);
    let cursor = session.cursor;
    const cursorReads = vi.fn(() => cursor);
    const set = (value: typeof cursor) => {
      cursor = value;
    };
    Object.defineProperty(session, "cursor", { get: cursorReads, set });
    runner.send(PUBLISH, false);
    await runner.run();
    expect(overtaken).toHaveBeenCalledOnce();
    expect(cursorReads.mock.calls.length).toBe(0);
    runner.cancel();
  });

  test("is closed with the bus", async () => {
    vi.useFakeTimers();
    const link = deafLink();
    const step = (what: "open" | "close"): Action[] => [{ do: what, transport: "ws", why: "" }];
    const race = {
      ...{ uplink: "unknown", nextTime: () => null },
      ...{ begin: () => step("open"), onTopics: () => step("close") },
    };
    const keeper = new Keeper({
      ...{ session: new Session(["t"]), mailbox: new Mailbox(10), timeline: new Timeline(() => {}), inbox: "inbox" },
      ...{ recall: { load: async () => [] }, race: () => race, link: () => link, tell: () => {}, onEnd: () => {} },
    } as unknown as Surroundings);
    await keeper.begin();
    keeper.send(link, PUBLISH);
    const change = keeper.changeTopics({ action: "subscribe", topics: ["u"] }, new AbortController().signal);
    await vi.advanceTimersByTimeAsync(100);
    expect(link.isClosed).toBe(false);
    const end = expect(change).rejects.toThrow("it is over");
    keeper.end(new Error("it is over"));
    await end;
    expect(link.isClosed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("a network that comes and goes quickly is looked at once at a time, and no more at the end", async () => {
  vi.useFakeTimers();
  const page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  const keeper = { pause: vi.fn(), resume: vi.fn(), hurry: vi.fn() } as unknown as Keeper;
  const answers: ((online: boolean) => void)[] = [];
  const isOnline = vi.fn(() => new Promise<boolean>((resolve) => answers.push(resolve)));
  const life = new AbortController();
  followPage(keeper, isOnline, life.signal);
  for (const name of ["offline", "online", "offline"]) page.dispatchEvent(new Event(name));
  expect(isOnline).toHaveBeenCalledTimes(2);
  for (const answer of answers.splice(0)) answer(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(keeper.pause).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(isOnline).toHaveBeenCalledTimes(3);
  for (const answer of answers.splice(0)) answer(false);
  await vi.advanceTimersByTimeAsync(0);
  life.abort();
  expect(vi.getTimerCount()).toBe(0);
});
