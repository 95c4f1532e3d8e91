/** Timers that are held up, as those of hidden pages and sleeping machines are. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Keeper } from "../src/keeper.js";
import { followPage } from "../src/lifecycle.js";
import { targetOf } from "../src/options.js";
import { Link } from "../src/transports/base.js";

/** What the clock of the machine shows beyond the timers, in milliseconds. */
let ahead = 0;

beforeEach(() => {
  ahead = 0;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"] });
  const shown = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => shown() + ahead);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

class QuietLink extends Link {
  readonly name = "ws";
  prods = 0;
  answer: (word: string) => void = () => {};

  // biome-ignore lint/correctness/useYield: it is never opened
  override async *open(): AsyncGenerator<never, never> {
    throw new Error("not here");
  }

  protected override prod(): void {
    this.prods += 1;
  }

  wait(): Promise<string> {
    return this.listen(
      new Promise<string>((resolve) => {
        this.answer = resolve;
      }),
    );
  }
}

function quietLink(): QuietLink {
  return new QuietLink(targetOf("http://127.0.0.1", {}));
}

describe("a link that brings nothing", () => {
  test("is dead after two heartbeats", async () => {
    const link = quietLink();
    const end = expect(link.wait()).rejects.toMatchObject({ code: "connection_lost" });
    await vi.advanceTimersByTimeAsync(29_000);
    expect(link.prods).toBe(0);
    await vi.advanceTimersByTimeAsync(1_001);
    await end;
    expect(link.prods).toBe(0);
  });

  test("is asked for a sign of life where the timer was held up", async () => {
    const link = quietLink();
    const word = link.wait();
    await vi.advanceTimersByTimeAsync(29_999);
    ahead = 60_000;
    await vi.advanceTimersByTimeAsync(1);
    expect(link.prods).toBe(1);
    link.answer("alive");
    expect(await word).toBe("alive");
  });

  test("is dead where none comes", async () => {
    const link = quietLink();
    const end = expect(link.wait()).rejects.toMatchObject({ code: "connection_lost" });
    await vi.advanceTimersByTimeAsync(5_000);
    link.check();
    expect(link.prods).toBe(1);
    await vi.advanceTimersByTimeAsync(4_001);
    await end;
  });
});

test("links are looked after when the clock has jumped, not before", async () => {
  const check = vi.fn();
  const life = new AbortController();
  followPage({ check } as unknown as Keeper, async () => true, life.signal);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(check).not.toHaveBeenCalled();
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(check).toHaveBeenCalledTimes(1);
  life.abort();
  vi.setSystemTime(Date.now() + 3_600_000);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(check).toHaveBeenCalledTimes(1);
});
