/** A server that refuses, each transport in its own way, and what it is told by those who ask. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { Forbidden, Unauthorized } from "../src/index.js";
import { join, until } from "./support/bus.js";

const ERROR = { type: "error", message: "not you" };
let server: Server;
let url: string;
let asked: IncomingMessage[];

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    asked.push(request);
    if (request.url?.startsWith("/under/sse")) {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end(`retry: 700\nevent: failure\ndata: ${JSON.stringify({ ...ERROR, code: "unavailable" })}\n\n`);
    } else {
      response.writeHead(401);
      response.end(JSON.stringify({ ...ERROR, code: "unauthorized" }));
    }
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    asked.push(request);
    socket.send(JSON.stringify({ ...ERROR, code: "forbidden" }));
    socket.close(4403);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/under/`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test("a WebSocket is closed with the reason; the token is in no URL, and headers go where they can", async () => {
  const bus = join(url, { transports: ["ws"], token: async () => "secret", headers: { "X-Own": "1" }, client: "me" });
  await expect(bus.opened).rejects.toBeInstanceOf(Forbidden);
  await expect(bus.opened).rejects.toThrow("not you");
  const query = new URL(asked[0]?.url ?? "", url);
  expect(query.pathname).toBe("/under/ws");
  expect(Object.fromEntries(query.searchParams)).toMatchObject({ v: "1", client: "me" });
  expect(asked[0]?.url).not.toContain("secret");
  expect(asked[0]?.url).not.toContain("format");
  expect(asked[0]?.headers["sec-websocket-protocol"]).toBe("tricast.v1.json,tricast.token.secret");
  expect(asked[0]?.headers["x-own"]).toBe("1");
});

test("a poll is refused by its status; the token is in a header", async () => {
  const bus = join(url, { transports: ["poll"], token: "secret", headers: { "X-Own": "1" }, echo: false });
  await expect(bus.opened).rejects.toBeInstanceOf(Unauthorized);
  expect(asked[0]?.headers).toMatchObject({ authorization: "Bearer secret", "x-own": "1" });
  expect(asked[0]?.url).toContain("echo=0");
  expect(asked[0]?.url).not.toContain("secret");
});

test("a refusal that passes is waited for as long as the server asks", async () => {
  const bus = join(url, { transports: ["sse"] });
  const start = Date.now();
  await until(() => asked.length >= 2, "another try");
  expect(Date.now() - start).toBeGreaterThan(650);
  expect(bus.timeline.slice(0, 4).map(({ what }) => what)).toEqual(["try", "failed", "wait", "try"]);
});
