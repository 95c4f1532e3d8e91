import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BusClosed, ConnectFailed, connect, type TransportName } from "../src/index.js";
import { aTopic, dataOf, join, take, until } from "./support/bus.js";
import { Server } from "./support/server.js";

const WAYS: TransportName[] = ["ws", "sse", "poll"];
let server: Server;

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

describe.each(WAYS)("%s alone", (way) => {
  const options = { transports: [way] };

  test("what is published comes back once", async () => {
    const topic = aTopic();
    const bus = join(server.url, { ...options, topics: [topic], client: "me" });
    await bus.opened;
    expect(bus.transport).toBe(way);
    const at = await bus.publish(topic, { n: [1, null, "é😀"] }, { event: "greeting", id: "m-1" });
    const [message] = await take(bus, 1);
    expect(message).toMatchObject({ type: "message", topic, cursor: at, id: "m-1", event: "greeting", from: "me" });
    expect(dataOf([message as never])).toEqual([{ n: [1, null, "é😀"] }]);
    expect(bus.cursor).toBe(at);
    expect(bus.uplink).toBe("ok");
    expect(bus.stats).toMatchObject({ received: 1, lost: 0, duplicated: 0, reconnects: 0, switches: 0 });
    expect(bus.stats.bytesReceived).toBeGreaterThan(100);
    expect(bus.stats.bytesSent).toBeGreaterThan(50);
  });

  test("bytes stay bytes, up and down", async () => {
    const topic = aTopic();
    const bus = join(server.url, { ...options, topics: [topic] });
    const bytes = Uint8Array.from({ length: 1000 }, (_, index) => index % 256);
    await bus.publish(topic, bytes);
    expect(dataOf(await take(bus, 1))).toEqual([bytes]);
    bus.addEventListener("message", () => {});
    expect(await bus.echo(bytes)).toEqual(bytes);
    expect(await bus.echo(null)).toBe(null);
    expect(await bus.echo({ a: 1 })).toEqual({ a: 1 });
  });

  test("topics are added and taken away", async () => {
    const [a, b] = [aTopic(), aTopic()] as const;
    const bus = join(server.url, { ...options, topics: [a] });
    await bus.opened;
    await bus.subscribe(b);
    expect(bus.topics).toEqual([a, b]);
    await server.publish(b, 1);
    await server.publish(a, 2);
    expect(dataOf(await take(bus, 2))).toEqual([1, 2]);
    await bus.unsubscribe(b);
    await server.publish(b, 3);
    await server.publish(a, 4);
    expect(dataOf(await take(bus, 1))).toEqual([4]);
    expect(bus.stats.reconnects).toBe(0);
  });

  test("it goes on from a cursor, and from the last messages", async () => {
    const topic = aTopic();
    const first = join(server.url, { ...options, topics: [topic] });
    for (const n of [1, 2, 3]) await first.publish(topic, n);
    await take(first, 2);
    const cursor = first.cursor as string;
    await first.close();
    await server.publish(topic, 4);
    expect(dataOf(await take(join(server.url, { ...options, topics: [topic], cursor }), 2))).toEqual([3, 4]);
    expect(dataOf(await take(join(server.url, { ...options, topics: [topic], last: 1 }), 1))).toEqual([4]);
    const all = join(server.url, { ...options, topics: [topic], cursor: "earliest" });
    expect(dataOf(await take(all, 4))).toEqual([1, 2, 3, 4]);
  });

  test("a cursor of another epoch brings a gap", async () => {
    const topic = aTopic();
    const bus = join(server.url, { ...options, topics: [topic], cursor: "other-5" });
    const [gap] = await take(bus, 1);
    expect(gap).toMatchObject({ type: "gap", reason: "epoch", topics: [topic], exact: false });
    await bus.publish(topic, 1);
    expect(dataOf(await take(bus, 1))).toEqual([1]);
  });

  test("a slow reader misses nothing", async () => {
    const topic = aTopic();
    const bus = join(server.url, { ...options, topics: [topic], buffer: 10 });
    await bus.opened;
    const text = "x".repeat(20_000);
    const count = 150;
    for (let n = 0; n < count; n += 1) await server.publish(topic, [n, text]);
    const seen = (await take(bus, count)).map((item) => item.type === "message" && (item.data as unknown[])[0]);
    expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(bus.stats).toMatchObject({ received: count, lost: 0, duplicated: 0 });
  });

  test("own messages can be left out", async () => {
    const topic = aTopic();
    const bus = join(server.url, { ...options, topics: [topic], echo: false });
    await bus.publish(topic, "mine");
    await server.publish(topic, "theirs");
    expect(dataOf(await take(bus, 1))).toEqual(["theirs"]);
  });
});

test("the best transport wins where all work", async () => {
  const bus = join(server.url);
  await bus.opened;
  await until(() => bus.transport === "ws", "the WebSocket to win");
  expect(bus.stats.timeToFirst).toBeLessThan(2);
});

test("listeners get what nobody iterates", async () => {
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic] });
  await bus.publish(topic, 1);
  await until(() => bus.stats.received === 1, "the message to wait");
  const seen: unknown[] = [];
  bus.addEventListener("message", ({ detail }) => seen.push(detail.data));
  await bus.publish(topic, 2);
  await until(() => seen.length === 2, "two events");
  const iterated = take(bus, 1);
  await bus.publish(topic, 3);
  expect(dataOf(await iterated)).toEqual([3]);
  await bus.publish(topic, 4);
  await until(() => seen.length === 4, "all events");
  expect(seen).toEqual([1, 2, 3, 4]);
});

test("a gap can be thrown, and iterating goes on behind it", async () => {
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic], cursor: "other-5", onGap: "throw" });
  await expect(take(bus, 1)).rejects.toMatchObject({ code: "gap", gap: { reason: "epoch" } });
  await bus.publish(topic, 1);
  expect(dataOf(await take(bus, 1))).toEqual([1]);
});

test("publishing again with the same id changes nothing", async () => {
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic] });
  const at = await bus.publish(topic, 1, { id: "once" });
  expect(await bus.publish(topic, 1, { id: "once" })).toBe(at);
  await expect(bus.publish(topic, 2, { id: "once" })).rejects.toMatchObject({ code: "conflict" });
  await expect(bus.publish("no/slash", 1)).rejects.toMatchObject({ code: "bad_request" });
  await expect(bus.publish(topic, Number.NaN)).rejects.toMatchObject({ code: "bad_request" });
  await expect(bus.publish(topic, "\ud800")).rejects.toMatchObject({ code: "bad_request" });
  await expect(bus.publish(topic, "x".repeat(300_000))).rejects.toMatchObject({ code: "too_large" });
});

test("many publishes at once, and many changes of topics", async () => {
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic] });
  await Promise.all(Array.from({ length: 50 }, (_, n) => bus.publish(topic, n)));
  expect(new Set(dataOf(await take(bus, 50))).size).toBe(50);
  await Promise.all([bus.subscribe("a"), bus.subscribe("b"), bus.unsubscribe("a"), bus.subscribe("c")]);
  expect(bus.topics).toEqual([topic, "b", "c"]);
});

test("closing ends everything that waits", async () => {
  const bus = join(server.url);
  const seen: string[] = [];
  for (const type of ["error", "close"] as const) bus.addEventListener(type, () => seen.push(type));
  await bus.opened;
  const iterated = take(bus, 1);
  const echoed = bus.echo(1);
  await bus.close();
  expect(await iterated).toEqual([]);
  await expect(echoed).rejects.toThrow();
  await expect(bus.publish("lobby", 1)).rejects.toBeInstanceOf(BusClosed);
  expect(seen).toEqual(["close"]);
});

test("a signal closes it", async () => {
  const controller = new AbortController();
  const bus = join(server.url, { signal: controller.signal });
  await bus.opened;
  controller.abort();
  expect(await take(bus, 1)).toEqual([]);
  await expect(join(server.url, { signal: controller.signal }).opened).rejects.toBeInstanceOf(BusClosed);
});

test("where there is no server it gives up in time, and says what it has tried", async () => {
  const bus = join("http://127.0.0.1:9", { openTimeout: 0.5 });
  const ended = new Promise<CustomEvent<Error>>((resolve) => bus.addEventListener("error", resolve));
  await expect(bus.opened).rejects.toBeInstanceOf(ConnectFailed);
  expect((await ended).detail.message).toContain("ws  try");
  await expect(take(bus, 1)).rejects.toBeInstanceOf(ConnectFailed);
});

test("what cannot be meant is refused at once", () => {
  expect(() => connect("ftp://127.0.0.1/")).toThrow(TypeError);
  expect(() => connect(server.url, { transports: [] })).toThrow(TypeError);
  expect(() => connect(server.url, { client: "not a name" })).toThrow(TypeError);
  expect(() => connect(server.url, { topics: ["no/slash"] })).toThrow("no topic's name");
});

test("what the server refuses for good ends the bus", async () => {
  const topics = Array.from({ length: 600 }, (_, n) => `t${n}`);
  const bus = join(server.url, { topics, transports: ["ws"] });
  await expect(bus.opened).rejects.toMatchObject({ code: "bad_request" });
  const other = join(server.url, { transports: ["ws"] });
  await other.opened;
  await expect(other.subscribe(...topics)).rejects.toMatchObject({ code: "bad_request" });
  expect(other.topics).toEqual(["lobby"]);
});

test("what worked is remembered", async () => {
  const saved: Record<string, string> = {};
  const storage = {
    getItem: (key: string) => saved[key] ?? null,
    setItem: (key: string, text: string) => {
      saved[key] = text;
    },
  };
  const { LocalStore } = await import("../src/index.js");
  const store = new LocalStore("key", storage);
  store.save(server.url, { transport: "poll", at: Date.now() / 1000 - 100 });
  const bus = join(server.url, { store, policy: { probeMin: 0.2 } });
  await bus.opened;
  expect(bus.timeline[0]).toMatchObject({ what: "try", transport: "poll" });
  await until(() => saved.key?.includes('"ws"') ?? false, "the WebSocket to be remembered");
});
