import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Bus, ConnectFailed, type TransportName, UplinkBlocked } from "../src/index.js";
import { aTopic, dataOf, join, take, until } from "./support/bus.js";
import { Middlebox, Server } from "./support/server.js";

let server: Server;
let box: Middlebox;

beforeAll(async () => {
  server = await Server.start("--heartbeat", "1");
  box = await Middlebox.start(server);
});
afterEach(() => box.clear());
afterAll(async () => {
  await box.stop();
  await server.stop();
});

/** What stands in the way, and which transport gets through. */
const PRESETS: [preset: string, transport: TransportName][] = [
  ["clean", "ws"],
  ["corporate-proxy-no-upgrade", "sse"],
  ["nginx-default", "sse"],
  ["buffering-proxy", "ws"],
  ["body-buffering-proxy", "ws"],
  ["captive-portal", "sse"],
  ["squid-connect-403", "sse"],
  ["authenticating-proxy", "sse"],
  ["bad-gateway", "sse"],
  ["websocket-blackhole", "sse"],
  ["silent-websocket", "sse"],
  ["one-way-websocket", "sse"],
  ["train", "ws"],
];

describe.each(PRESETS)("behind %s", (preset, transport) => {
  test(`${transport} gets through`, async () => {
    await box.set(`/presets/${preset}`);
    const topic = aTopic();
    const bus = join(box.url, { topics: [topic] });
    await bus.publish(topic, 1);
    expect(dataOf(await take(bus, 1))).toEqual([1]);
    await until(() => bus.transport === transport, `${transport}, not ${bus.transport}`);
    expect(bus.uplink).toBe("ok");
  });
});

test("where SSE is held and WebSocket refused, long poll gets through", async () => {
  await box.set("/faults", "PUT", { sse_hold_headers: true, refuse_upgrade: 403 });
  const bus = join(box.url, { topics: [aTopic()] });
  await bus.opened;
  expect(bus.transport).toBe("poll");
});

test("a proxy that takes no POST leaves the WebSocket", async () => {
  await box.set("/presets/read-only-proxy");
  const bus = join(box.url, { topics: [aTopic()] });
  await bus.opened;
  expect([bus.transport, bus.uplink]).toEqual(["ws", "ok"]);
});

test("where nothing can be sent, messages come, and publishing says why it does not work", async () => {
  await box.set("/faults", "PUT", { refuse_post: 403, refuse_upgrade: 403 });
  const topic = aTopic();
  const bus = join(box.url, { topics: [topic] });
  const uplinks: string[] = [];
  bus.addEventListener("uplink", ({ detail }) => uplinks.push(detail.uplink));
  await bus.opened;
  await server.publish(topic, 1);
  expect(dataOf(await take(bus, 1))).toEqual([1]);
  await expect(bus.publish(topic, 2)).rejects.toBeInstanceOf(UplinkBlocked);
  await expect(bus.echo(2)).rejects.toBeInstanceOf(UplinkBlocked);
  expect(uplinks).toEqual(["blocked"]);
});

describe.each(["ws", "sse", "poll"] as const)("%s alone", (way) => {
  test("silence in mid-stream is noticed, and nothing is lost by it", async () => {
    const topic = aTopic();
    const bus = join(box.url, { topics: [topic], transports: [way], client: "me" });
    await bus.publish(topic, 1);
    await take(bus, 1);
    const start = Date.now();
    if (way !== "poll") {
      // A poll is given its time to wait besides, which is too long for a test.
      await box.set("/faults", "PUT", { blackhole: true });
      await until(() => bus.transport === null, "the silence to be noticed");
      expect(Date.now() - start).toBeLessThan(5000);
      await box.clear();
    } else {
      await box.set("/cut");
    }
    await server.publish(topic, 2);
    expect(dataOf(await take(bus, 1))).toEqual([2]);
    expect(bus.stats).toMatchObject({ received: 2, lost: 0, duplicated: 0 });
    // Healing cuts what was dead, and may meet the next link too.
    expect(bus.stats.reconnects).toBeGreaterThan(0);
  });
});

test("switches in mid-stream under a flow: nothing is lost, doubled or out of order", async () => {
  const topic = aTopic();
  const bus = join(box.url, { topics: [topic], policy: { probeMin: 0.3, quarantineMin: 0.5, backoffMin: 0.05 } });
  const switches: unknown[] = [];
  bus.addEventListener("transport", ({ detail }) => switches.push(detail.transport));
  const seen: unknown[] = [];
  bus.addEventListener("message", ({ detail }) => seen.push(detail.data));
  await bus.opened;
  const published = flow(bus, topic);
  await torment(bus);
  const count = await published.stop();
  await until(() => seen.length >= count, "all messages");
  expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(bus.stats).toMatchObject({ received: count, lost: 0, duplicated: 0, gaps: 0 });
  expect(new Set(switches)).toEqual(new Set(["ws", "sse", "poll", null]));
});

async function torment(bus: Bus): Promise<void> {
  await box.set("/faults", "PUT", { refuse_upgrade: 403 });
  await box.set("/cut");
  await until(() => bus.transport === "sse", "SSE");
  await box.set("/faults", "PUT", { refuse_upgrade: 403, sse_hold_headers: true });
  await box.set("/cut");
  await until(() => bus.transport === "poll", "long poll");
  await box.set("/faults", "DELETE");
  await until(() => bus.transport === "ws", "the WebSocket again");
  await box.set("/cut");
}

/** Publishes numbers in order until it is stopped, each of which has to arrive however often it is sent. */
function flow(bus: Bus, topic: string): { stop(): Promise<number> } {
  let going = true;
  const publish = async () => {
    let n = 0;
    for (; going; n += 1) await bus.publish(topic, n);
    return n;
  };
  const published = publish();
  return {
    stop: () => {
      going = false;
      return published;
    },
  };
}

test("a publish that nobody answers may have taken effect, and that is said", async () => {
  const topic = aTopic();
  const bus = join(box.url, { topics: [topic], transports: ["sse"] });
  await bus.opened;
  await bus.publish(topic, 1);
  await box.set("/faults", "PUT", { eat_post: true });
  await expect(bus.publish(topic, 2, { timeout: 0.5 })).rejects.toMatchObject({ code: "outcome_unknown" });
  const controller = new AbortController();
  const given = bus.publish(topic, 3, { signal: controller.signal });
  controller.abort(new Error("no more"));
  await expect(given).rejects.toThrow("no more");
});

test("a server that goes and comes back has another epoch, and says so", async () => {
  const own = await Server.start("--drain-timeout", "1");
  const topic = aTopic();
  const bus = join(own.url, { topics: [topic] });
  await bus.publish(topic, 1);
  await take(bus, 1);
  await own.stop();
  await until(() => bus.transport === null, "the end of the server");
  await own.start();
  expect(await take(bus, 1)).toMatchObject([{ type: "gap", reason: "epoch", topics: [topic] }]);
  await bus.publish(topic, 2);
  expect(dataOf(await take(bus, 1))).toEqual([2]);
  expect(bus.timeline.map(({ what }) => what)).toContain("bye");
  await bus.close();
  await own.stop();
});

test("a server that cannot be reached is told from one that something blocks", async () => {
  await box.set("/presets/server-down");
  const bus = join(box.url, { openTimeout: 1 });
  await expect(bus.opened).rejects.toBeInstanceOf(ConnectFailed);
  expect(bus.timeline.map(({ what }) => what)).toContain("offline");
  await box.set("/faults", "PUT", { refuse_upgrade: 403 });
  const other = join(box.url, { transports: ["ws"], openTimeout: 1 });
  await expect(other.opened).rejects.toBeInstanceOf(ConnectFailed);
  expect(other.timeline.map(({ what }) => what)).toContain("online");
});

test.each([
  ["squid-connect-403", "refused", 20],
  ["silent-websocket", "slow", 0.05],
])("behind %s the server is told that the WebSocket was %s", async (preset, reason, stagger) => {
  const series = `tricast_fallbacks_total{reason="${reason}",transport="ws"}`;
  const count = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(text.split(series)[1]?.split("\n")[0]);
  };
  await box.set(`/presets/${preset}`);
  const before = await count();
  const bus = join(box.url, { topics: [aTopic()], transports: ["ws", "sse"], policy: { stagger } });
  await bus.opened;
  expect(bus.transport).toBe("sse");
  expect(await count()).toBe(before + 1);
});
