/** The protobuf format over each transport, beside clients that speak JSON. */

import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { BadRequest, type Bus, type Message, type TransportName } from "../src/index.js";
import { targetOf } from "../src/options.js";
import { WebSocketLink } from "../src/transports/websocket.js";
import { protobuf } from "../src/wire/protobuf.js";
import { aTopic, dataOf, join, take, until } from "./support/bus.js";
import { Middlebox, Server } from "./support/server.js";

const WAYS: TransportName[] = ["ws", "sse", "poll"];
const BYTES = Uint8Array.from({ length: 1000 }, (_, index) => index % 256);
const VALUES = [{ n: [1, -0.5, null, true], "é😀": "\u2028\0" }, BYTES, new Uint8Array(), null, "", 0, []];

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

describe.each(WAYS)("%s alone", (way) => {
  const options = { transports: [way], format: protobuf };

  test("what is published comes to all alike, whatever they speak", async () => {
    const topic = aTopic();
    const buses = [
      join(server.url, { ...options, topics: [topic], client: "me" }),
      join(server.url, { topics: [topic] }),
    ];
    const [mine, other] = buses as [Bus, Bus];
    await Promise.all([mine.opened, other.opened]);
    for (const [n, data] of VALUES.entries()) await buses[n % 2]?.publish(topic, data, { id: `m${n}`, event: "e" });
    const [items, same] = await Promise.all([take(mine, VALUES.length), take(other, VALUES.length)]);
    expect(dataOf(items)).toEqual(VALUES);
    expect(items).toEqual(same);
    expect(items[0]).toMatchObject({ topic, id: "m0", event: "e", from: "me", ts: expect.any(Number) });
    // Not a view of what has come with them.
    expect((items[1] as { data: Uint8Array }).data.buffer.byteLength).toBe(BYTES.length);
    expect(mine.cursor).toBe(other.cursor);
    expect(mine.stats).toMatchObject({ received: VALUES.length, lost: 0, duplicated: 0, reconnects: 0 });
  });

  test("echoes come back as they were", async () => {
    const bus = join(server.url, options);
    for (const data of VALUES) expect(await bus.echo(data)).toEqual(data);
  });

  test("topics come and go, and what was missed comes as from the cursor", async () => {
    const [a, b] = [aTopic(), aTopic()] as const;
    const bus = join(server.url, { ...options, topics: [a], cursor: "other-5" });
    expect(await take(bus, 1)).toMatchObject([{ type: "gap", topics: [a], reason: "epoch", exact: false }]);
    await bus.subscribe(b);
    await server.publish(b, 1);
    expect(dataOf(await take(bus, 1))).toEqual([1]);
    await bus.unsubscribe(b);
    await server.publish(b, 2);
    await server.publish(a, 3);
    expect(dataOf(await take(bus, 1))).toEqual([3]);
  });

  test("what is wrong is said as in JSON", async () => {
    const bus = join(server.url, options);
    await bus.opened;
    await expect(bus.publish("no/slash", 1)).rejects.toBeInstanceOf(BadRequest);
    await expect(bus.publish("lobby", Number.NaN)).rejects.toThrow("no I-JSON value");
    await expect(bus.publish("lobby", "\ud800")).rejects.toThrow("no I-JSON value");
    await expect(bus.publish("\ud800", 1)).rejects.toBeInstanceOf(BadRequest);
    await expect(bus.publish("lobby", "x".repeat(300_000))).rejects.toMatchObject({ code: "too_large" });
    await expect(bus.publish("lobby", new Uint8Array(300_000))).rejects.toMatchObject({ code: "too_large" });
    await bus.publish("lobby", 1, { id: `once-${way}` });
    await expect(bus.publish("lobby", 2, { id: `once-${way}` })).rejects.toMatchObject({ code: "conflict" });
  });

  test("a refusal at connect brings the server's reason", async () => {
    const topics = Array.from({ length: 600 }, (_, n) => `t${n}`);
    await expect(join(server.url, { ...options, topics }).opened).rejects.toMatchObject({ code: "bad_request" });
  });
});

/** What goes over WebSocket and fetch: the kinds of frames and bodies, and the URLs. */
class Wiretap {
  readonly kinds = new Set<string>();
  readonly urls: string[] = [];

  readonly fetch: typeof fetch = async (input, init) => {
    this.urls.push(`${input}`);
    if (init?.body) this.#note("up", init.body, new Headers(init.headers));
    const response = await fetch(input, init);
    this.kinds.add(`down ${response.headers.get("Content-Type")}`);
    return response;
  };

  get WebSocket() {
    const tap = this;
    return class extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        tap.urls.push(url);
        this.on("message", (_, isBinary) => tap.kinds.add(`down ${isBinary ? "binary" : "text"}`));
      }

      override send(data: unknown): void {
        tap.#note("up", data);
        super.send(data as Uint8Array);
      }
    };
  }

  #note(way: string, data: unknown, headers?: Headers): void {
    const type = headers?.get("Content-Type");
    this.kinds.add([way, data instanceof Uint8Array ? "binary" : "text", type].filter(Boolean).join(" "));
  }
}

test.each([
  ["ws", ["down binary", "up binary"]],
  ["sse", ["down application/x-protobuf", "down text/event-stream", "up binary application/x-protobuf"]],
  ["poll", ["down application/x-protobuf", "up binary application/x-protobuf"]],
] as const)("%s: nothing else is spoken", async (way, kinds) => {
  const tap = new Wiretap();
  const { WebSocket, fetch } = tap;
  const bus = join(server.url, { transports: [way], format: protobuf, WebSocket, fetch });
  await bus.publish("lobby", BYTES);
  await bus.echo(1);
  expect([...tap.kinds].map((kind) => kind.split(";")[0]).sort()).toEqual(kinds);
  expect(tap.urls.filter((url) => !url.includes("format=protobuf"))).toEqual([]);
});

test("a change of transport in mid-stream loses nothing", async () => {
  const box = await Middlebox.start(server);
  try {
    const topic = aTopic();
    const bus = join(box.url, { topics: [topic], format: protobuf });
    await bus.opened;
    await until(() => bus.transport === "ws", "the WebSocket to win");
    const numbers = Array.from({ length: 60 }, (_, n) => n);
    const taken = take(bus, numbers.length);
    for (const n of numbers) {
      if (n === 20) {
        await box.set("/faults", "PUT", { refuse_upgrade: 403 });
        await box.set("/cut?kind=ws");
      }
      await bus.publish(topic, n % 2 ? n : Uint8Array.of(n));
    }
    expect(dataOf(await taken)).toEqual(numbers.map((n) => (n % 2 ? n : Uint8Array.of(n))));
    expect(bus.transport).toBe("sse");
    expect(bus.stats).toMatchObject({ lost: 0, duplicated: 0, gaps: 0 });
  } finally {
    await box.stop();
  }
});

describe("a server without this format", () => {
  const hello = {
    type: "hello",
    protocol: 1,
    transport: "ws",
    client: "c",
    cursor: "e-1",
    topics: ["lobby"],
    node: "n",
  };
  const greeting = { ...hello, heartbeat: 15, dedupe_window: 120 };
  const refusal = { type: "error", code: "bad_request", message: "format is json or text" };
  let old: HttpServer;
  let url: string;
  /** Refuses, or minds no format. */
  let careless = false;

  beforeAll(async () => {
    old = createServer((request, response) => {
      const type = request.url?.startsWith("/sse") ? "text/event-stream" : "application/json";
      response.writeHead(careless ? 200 : 400, { "Content-Type": careless ? type : "application/json" });
      if (!careless) response.end(JSON.stringify(refusal));
      else if (request.url?.startsWith("/sse")) response.write(`event: hello\ndata: ${JSON.stringify(greeting)}\n\n`);
      else response.end(JSON.stringify({ cursor: "e-1", messages: [], hello: greeting }));
    });
    new WebSocketServer({ server: old }).on("connection", (socket) => {
      socket.send(JSON.stringify(careless ? greeting : refusal));
      if (!careless) socket.close(4400);
    });
    old.listen(0, "127.0.0.1");
    await once(old, "listening");
    url = `http://127.0.0.1:${(old.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    old.closeAllConnections();
    old.close();
  });

  test.each(WAYS)("%s: its refusal is told", async (way) => {
    careless = false;
    const bus = join(url, { transports: [way], format: protobuf });
    await expect(bus.opened).rejects.toBeInstanceOf(BadRequest);
    await expect(bus.opened).rejects.toThrow("format is json or text");
  });

  test.each([
    ["ws", "the server sent JSON, not protobuf"],
    ["sse", "the server sent JSON, not protobuf"],
    ["poll", 'the server sent what is not protobuf: {"cursor":"e-1"'],
  ] as const)("%s: that it speaks JSON is told", async (way, why) => {
    careless = true;
    const bus = join(url, { transports: [way], format: protobuf, openTimeout: 0.5 });
    await expect(bus.opened).rejects.toThrow(why);
  });
});

test("binary frames are not for those who speak JSON", async () => {
  const odd = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  odd.on("connection", (socket) => {
    const hello = { type: "hello", protocol: 1, transport: "ws", client: "c", cursor: "e-1", heartbeat: 15 };
    socket.send(Uint8Array.of(1, 2));
    socket.send(JSON.stringify({ ...hello, dedupe_window: 120, topics: ["lobby"], node: "n" }));
    socket.send(Uint8Array.of());
    socket.send(JSON.stringify({ type: "message", topic: "lobby", cursor: "e-2", data: 1 }));
  });
  try {
    await once(odd, "listening");
    const { port } = odd.address() as AddressInfo;
    const link = new WebSocketLink(targetOf(`http://127.0.0.1:${port}`, { WebSocket: WebSocket as never }));
    const frames = link.open({ topics: ["lobby"], cursor: null, last: 0 });
    expect((await frames.next()).value).toMatchObject({ type: "hello", cursor: "e-1" });
    expect((await frames.next()).value).toMatchObject({ type: "message", data: 1 });
    link.close();
  } finally {
    for (const socket of odd.clients) socket.terminate();
    odd.close();
  }
});

test("what is no Unicode is refused in both directions", () => {
  for (const more of [{ topic: "\ud800" }, { event: "\ud800" }, { data: ["\ud800"] }]) {
    expect(() => protobuf.encode({ action: "publish", data: 1, ...more })).toThrow(BadRequest);
  }
  const invalid = Uint8Array.of(0x22, 3, 0x0a, 1, 0xff);
  expect(() => protobuf.decode(invalid)).toThrow("the server sent what is not protobuf");
});

test("frames are the same as from JSON, with no member more", async () => {
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic], format: protobuf });
  await bus.publish(topic, 1);
  const [message] = (await take(bus, 1)) as [Message];
  expect(Object.keys(message).sort()).toEqual(["cursor", "data", "from", "id", "topic", "ts", "type"]);
});
