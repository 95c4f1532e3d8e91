import { expect, test } from "vitest";
import { IN_FLIGHT_MAX, Ledger } from "./ledger.ts";

const SERIES = "s";

/** `[n, acked]` in the order of arrival. */
function heard(arrivals: [n: number, acked: number][], ledger = new Ledger()): Ledger {
  for (const [n, acked] of arrivals) ledger.take({ series: SERIES, n, acked }, false);
  return ledger;
}

function own(): Ledger {
  const ledger = new Ledger();
  ledger.begin(SERIES);
  return ledger;
}

test("what comes once and in order counts as nothing", () => {
  const { counts } = heard([[1, 0], [2, 1], [3, 2]], own()); // biome-ignore format: pairs
  expect(counts).toEqual({ received: 3, lost: 0, duplicated: 0, reordered: 0 });
});

test("numbers that were under way together may come in any order", () => {
  const { counts } = heard([[2, 0], [1, 0], [3, 2]], own()); // biome-ignore format: pairs
  expect(counts).toEqual({ received: 3, lost: 0, duplicated: 0, reordered: 0 });
});

test("a number is lost when one comes that was sent after it was acknowledged", () => {
  const ledger = heard([[1, 0], [4, 3]], own()); // biome-ignore format: pairs
  expect(ledger.counts).toEqual({ received: 2, lost: 2, duplicated: 0, reordered: 0 });
  expect(heard([[2, 0]], ledger).counts).toEqual({ received: 3, lost: 1, duplicated: 0, reordered: 1 });
});

test("a second copy is one, however late", () => {
  const { counts } = heard([[1, 0], [2, 1], [1, 0], [3, 2], [3, 2]], own()); // biome-ignore format: pairs
  expect(counts).toEqual({ received: 5, lost: 0, duplicated: 2, reordered: 0 });
});

test("of a stranger only what was sent after we came is asked after", () => {
  const late = IN_FLIGHT_MAX + 12;
  const { counts } = heard([[10, 8], [11, 10], [late, late - 1], [late + 1, late]]); // biome-ignore format: pairs
  expect(counts.lost).toBe(1);
});

test("it goes on after a reload", () => {
  const kept = JSON.parse(JSON.stringify(heard([[1, 0], [2, 1]], own()))); // biome-ignore format: pairs
  const { counts } = heard([[2, 1], [4, 3]], Ledger.from(kept)); // biome-ignore format: pairs
  expect(counts).toEqual({ received: 4, lost: 1, duplicated: 1, reordered: 0 });
});
