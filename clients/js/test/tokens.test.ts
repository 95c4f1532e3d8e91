/** Tokens that expire: another one is asked for, and nothing is lost. */

import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ConnectFailed, type Message, type TransportName, Unauthorized } from "../src/index.js";
import { protobuf } from "../src/wire/protobuf.js";
import { aTopic, dataOf, join, take, until } from "./support/bus.js";
import { Server } from "./support/server.js";

const SECRET = "a secret of thirty-two bytes, or more";
const WAYS: TransportName[] = ["ws", "sse", "poll"];
/** Seconds of a token. */
const LIFE = 0.7;

let server: Server;
beforeAll(async () => {
  server = await Server.start("--token-secret", SECRET, "--token-leeway", "0");
});
afterAll(() => server.stop());

/** A JSON Web Token (RFC 7519) for everything, which holds for so many seconds. */
function token(life = 60): string {
  const spelled = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: "anna", exp: Date.now() / 1000 + life, subscribe: ["**"], publish: ["**"] };
  const text = `${spelled({ alg: "HS256", typ: "JWT" })}.${spelled(claims)}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

/** Gives the same one as long as it holds, as most applications do. */
function keeping(): () => string {
  let ends = 0;
  let kept = "";
  return () => {
    if (Date.now() >= ends) {
      ends = Date.now() + LIFE * 1000;
      kept = token(LIFE);
    }
    return kept;
  };
}

/** What comes of it on every transport at once, as most of it is waiting. */
function onEach(work: (way: TransportName) => Promise<void>): () => Promise<void> {
  return async () => {
    await Promise.all(WAYS.map(work));
  };
}

test(
  "nothing is lost while tokens come and go",
  onEach(async (way) => {
    const topic = aTopic();
    const bus = join(server.url, { topics: [topic], transports: [way], token: keeping() });
    await bus.opened;
    const numbers = Array.from({ length: 14 }, (_, number) => number);
    const taken = take(bus, numbers.length);
    for (const number of numbers) {
      await bus.publish(topic, number);
      // In the flow, and once in silence, when a poll is sure to wait.
      await sleep(number === 10 ? LIFE * 1000 + 300 : 100);
    }
    const items = await taken;
    expect(dataOf(items)).toEqual(numbers);
    expect((items[0] as Message).sub).toBe("anna");
    expect(bus.stats.reconnects).toBeGreaterThanOrEqual(1);
    expect(bus.stats).toMatchObject({ lost: 0, gaps: 0 });
  }),
);

test(
  "protobuf is spoken where a token has to be said too",
  onEach(async (way) => {
    const topic = aTopic();
    const bus = join(server.url, { topics: [topic], transports: [way], token: token(), format: protobuf });
    const bytes = Uint8Array.of(0, 255);
    await bus.publish(topic, bytes);
    expect(await take(bus, 1)).toMatchObject([{ data: bytes, sub: "anna" }]);
    const other = join(server.url, { transports: [way], token: "none", format: protobuf });
    await expect(other.opened).rejects.toBeInstanceOf(Unauthorized);
  }),
);

test(
  "one that is refused is asked for once more, but not twice",
  onEach(async (way) => {
    const give = vi.fn(async () => token()).mockResolvedValueOnce(token(-5));
    const bus = join(server.url, { transports: [way], token: give });
    await bus.opened;
    expect(bus.timeline.map(({ what }) => what)).toContain("refused");

    const giveOld = vi.fn(() => token(-5));
    const other = join(server.url, { transports: [way], token: giveOld });
    await expect(other.opened).rejects.toBeInstanceOf(Unauthorized);
    expect(giveOld.mock.calls.length).toBeLessThanOrEqual(2);
  }),
);

test(
  "one that is no function ends with its time",
  onEach(async (way) => {
    const bus = join(server.url, { transports: [way], token: token(LIFE) });
    await bus.opened;
    await expect(take(bus, 1)).rejects.toBeInstanceOf(Unauthorized);
  }),
);

test("who gives out tokens may be away for a while", async () => {
  let given = 0;
  const give = async () => {
    given += 1;
    if (given === 2 || given === 3) throw new Error("the issuer is away");
    return token(LIFE);
  };
  const topic = aTopic();
  const bus = join(server.url, { topics: [topic], transports: ["poll"], token: give });
  await bus.opened;
  await until(() => given > 4, "more tokens");
  await bus.publish(topic, 1);
  expect(dataOf(await take(bus, 1))).toEqual([1]);
  expect(bus.timeline.some(({ detail }) => detail.includes("the issuer is away"))).toBe(true);
});

test("without any it says why", async () => {
  const give = () => Promise.reject(new Error("not logged in"));
  const bus = join(server.url, { token: give, openTimeout: 0.7 });
  await expect(bus.opened).rejects.toThrow("not logged in");
  await expect(bus.opened).rejects.toBeInstanceOf(ConnectFailed);
});
