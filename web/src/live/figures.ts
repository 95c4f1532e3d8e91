import type { MiddleboxState } from "../middlebox.ts";
import { byId, write } from "../ui/dom.ts";
import { bytes, count, duration, joined, rate } from "../ui/format.ts";
import type { Counts } from "./ledger.ts";

export interface Traffic {
  readonly down: number;
  readonly up: number;
}

/** What the large and small numbers of the page are about. */
export interface Numbers {
  readonly counts: Counts;
  readonly gaps: number;
  /** Milliseconds of the last message of one's own. */
  readonly latency: number | null;
  readonly traffic: Traffic;
  /** Messages per second that this page publishes; null where it is not to. */
  readonly published: number | null;
}

export function showFigures({ counts, gaps, latency, traffic, published }: Numbers): void {
  const { lost, duplicated, reordered, received } = counts;
  for (const [id, value] of Object.entries({ lost, duplicated, reordered })) {
    const figure = byId(id);
    write(figure, count(value));
    figure.classList.toggle("bad", value > 0);
  }
  write(byId("received"), count(received));
  write(byId("latency"), latency === null ? "–" : joined(duration(latency)));
  write(byId("down"), joined(bytes(traffic.down)));
  write(byId("up"), joined(bytes(traffic.up)));
  write(byId("gaps"), gaps === 0 ? "No gap." : `${gaps === 1 ? "One gap was" : `${gaps} gaps were`} told of.`);
  const publishes = published === null ? "nothing by itself" : `${rate(published)} messages/s`;
  write(byId("achieved"), `This page publishes ${publishes}.`);
}

/** All kinds of exchange together, as the middlebox counts. */
export function trafficOf({ counters }: MiddleboxState): Traffic {
  const kinds = Object.values(counters.kinds);
  return { down: kinds.reduce((sum, { down }) => sum + down, 0), up: kinds.reduce((sum, { up }) => sum + up, 0) };
}
