/** Code that is loaded when it is used, and what becomes of a link where it does not come. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ConnectFailed } from "../src/index.js";
import { targetOf } from "../src/options.js";
import type { Link } from "../src/transports/base.js";
import { eventLink } from "../src/transports/late.js";

vi.mock("../src/share.js", () => {
  throw new TypeError("Failed to fetch dynamically imported module");
});
vi.mock("../src/transports/eventsource.js", () => {
  throw new TypeError("Failed to fetch dynamically imported module");
});

const HELLO = {
  ...{ type: "hello", protocol: 1, transport: "sse", client: "c", cursor: "e-1", heartbeat: 7 },
  ...{ dedupe_window: 120, topics: ["lobby"], node: "n" },
};
const server = createServer((_, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(`event: hello\ndata: ${JSON.stringify(HELLO)}\n\n`);
});

beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function opened(link: Link) {
  return link.open({ topics: ["lobby"], cursor: null, last: 0 }).next();
}

test("what was asked for and does not come is a failed connect", async () => {
  const target = targetOf("http://127.0.0.1:9", {});
  await expect(opened(eventLink(target, true, false))).rejects.toBeInstanceOf(ConnectFailed);
});

test("where sharing does not come, the link is one of its own", async () => {
  const target = targetOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {});
  const link = eventLink(target, false, true);
  expect((await opened(link)).value).toMatchObject({ type: "hello", cursor: "e-1" });
  expect(link.heartbeat).toBe(7);
  link.close();
});
