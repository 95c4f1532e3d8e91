/** One round of the race: who is opened next, with what head start, or when the next round begins. No I/O. */

import type { Lane } from "./lanes.js";
import type { Policy } from "./policy.js";

/** `waiting` are to be opened, in this order. Where nothing works the next round starts at `beginsAt` (seconds). */
export class Round {
  waiting: Lane[] = [];
  beginsAt: number | null = null;
  readonly #lanes: Lane[];
  readonly #policy: Policy;
  #stagger: number;
  #nextStart = 0;

  constructor(lanes: Lane[], policy: Policy) {
    this.#lanes = lanes;
    this.#policy = policy;
    this.#stagger = policy.stagger;
  }

  /** With all that may be tried; `first` before its betters. */
  start(now: number, first?: Lane): void {
    const lanes = this.#lanes.filter((lane) => lane.notBefore <= now);
    this.#set(inOrder(lanes, now, first), null);
    this.#nextStart = now;
  }

  /** These are to be opened if the one that is under way does not work in time. */
  standBy(now: number, lanes: Lane[], atOnce = false): void {
    this.#set(inOrder(lanes, now), null);
    this.#nextStart = atOnce ? now : now + this.#stagger;
  }

  waitUntil(when: number): void {
    this.#set([], when);
  }

  stop(): void {
    this.#set([], null);
  }

  /** One has failed: the next one need not wait. */
  hurry(now: number): void {
    this.#nextStart = now;
  }

  /** To the round trip: the head start is so long that a healthy transport needs it. */
  adapt(rtt: number): void {
    const { staggerMin, staggerMax, staggerRoundTrips } = this.#policy;
    this.#stagger = Math.min(staggerMax, Math.max(staggerMin, staggerRoundTrips * rtt));
  }

  /** When something is due, if anything is. */
  times(): number[] {
    const times = this.waiting.length ? [this.#nextStart] : [];
    return this.beginsAt === null ? times : [...times, this.beginsAt];
  }

  /** The one whose turn it is, to be opened now. `greetedAt`: the first hello of this round, if there is one. */
  take(now: number, greetedAt: number | null): Lane | undefined {
    const lane = this.waiting[0];
    if (!lane) return;
    const running = this.#lanes.filter((other) => other.isOpen && !other.muted);
    if (running.length && now < this.#nextStart) return;
    if (running.length && lane.isDoubtful(now)) {
      // What may be cut again is for when all others have had their time.
      const anyGreeted = running.some((other) => other.state !== "opening");
      const patience = this.#policy.lastResort + (anyGreeted ? this.#policy.proofTimeout : 0);
      this.#nextStart = Math.max(greetedAt ?? 0, ...running.map((other) => other.openedAt)) + patience;
      if (now < this.#nextStart) return;
    }
    this.#nextStart = now + this.#stagger;
    return this.waiting.shift();
  }

  #set(waiting: Lane[], beginsAt: number | null): void {
    this.waiting = waiting;
    this.beginsAt = beginsAt;
  }
}

function inOrder(lanes: Lane[], now: number, first?: Lane): Lane[] {
  const key = (lane: Lane) => 4 * +lane.isDoubtful(now) + 2 * +(lane !== first) + +(lane.fails > 0);
  const idle = lanes.filter((lane) => !lane.isOpen);
  return idle.sort((a, b) => key(a) - key(b) || a.rank - b.rank);
}
