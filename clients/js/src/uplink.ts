/** Whether what is sent arrives: how long that is sought, and when to look again where it does not. No I/O. */

import { doubled, spread } from "./lanes.js";
import type { Policy } from "./policy.js";

export type Uplink = "unknown" | "ok" | "blocked";

/**
 * `since`: when a hello had come, but no echo yet. Null while nothing is sought, as an echo has come or no hello.
 * `blocked`: it was sought long enough, and is looked for again at `againAt`. Times are in seconds.
 */
export class UplinkSearch {
  since: number | null = null;
  blocked = false;
  againAt = 0;
  readonly #policy: Policy;
  readonly #jitter: () => number;
  #tries = 0;

  constructor(policy: Policy, jitter: () => number) {
    this.#policy = policy;
    this.#jitter = jitter;
  }

  begin(now: number): void {
    this.since = now;
    this.blocked = false;
  }

  end(): void {
    this.since = null;
    this.blocked = false;
    this.#tries = 0;
  }

  block(now: number): void {
    this.blocked = true;
    this.plan(now);
  }

  plan(now: number): void {
    const { probeMin, uplinkMax } = this.#policy;
    this.againAt = now + spread(doubled(probeMin, this.#tries, uplinkMax), this.#jitter());
    this.#tries += 1;
  }

  /** It is blocked, and time to look again. */
  isDue(now: number): boolean {
    return this.blocked && now >= this.againAt;
  }

  /** Messages should come by now, though nothing can be sent yet. */
  isLate(now: number): boolean {
    return this.since !== null && now >= this.since + this.#policy.downPatience;
  }

  /** No echo will come any more. */
  isOver(now: number): boolean {
    return this.since !== null && now >= this.since + this.#policy.proofTimeout;
  }

  /** When one of these changes. */
  times(carried: boolean): number[] {
    if (this.blocked) return [this.againAt];
    if (this.since === null) return [];
    const over = this.since + this.#policy.proofTimeout;
    return carried ? [over] : [this.since + this.#policy.downPatience, over];
  }
}
