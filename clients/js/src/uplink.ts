/** Whether what is sent arrives: how long that is sought, who carries meanwhile, when to look again. No I/O. */

import { doubled, type Lane, spread } from "./lanes.js";
import type { Policy } from "./policy.js";
import type { Track } from "./track.js";

export type Uplink = "unknown" | "ok" | "blocked";

/**
 * `since`: when a hello had come, but no echo yet. Null while nothing is sought, as an echo has come or no hello.
 * `blocked`: it was sought long enough, and is looked for again at `againAt`. Times are in seconds.
 */
export class UplinkSearch {
  since: number | null = null;
  blocked = false;
  againAt = 0;
  readonly #track: Track;
  readonly #policy: Policy;
  readonly #jitter: () => number;
  #tries = 0;

  constructor(track: Track, policy: Policy, jitter: () => number) {
    this.#track = track;
    this.#policy = policy;
    this.#jitter = jitter;
  }

  /** Who carries is decided, for better or worse. */
  get isSettled(): boolean {
    const carrier = this.#track.carrier;
    return carrier !== null && (carrier.proven || this.blocked);
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

  /** Where no link has brought a hello any more, its uplink is not the question. */
  endUnlessGreeted(): void {
    if (!this.#track.carrier && !this.#greeted().length) this.end();
  }

  /**
   * Without an uplink: first messages come, soon afterwards it is said that nothing can be sent. `waiting`: some
   * transport is to be opened yet.
   */
  settle(now: number, waiting: boolean): void {
    this.#turnToGreeted(now);
    if (this.since === null || this.isSettled) return;
    const track = this.#track;
    const pending = waiting || track.lanes.some((lane) => lane.isOpen && !lane.muted);
    const blocked = !pending || now >= this.since + this.#policy.proofTimeout;
    const [first] = this.#greeted();
    if (!track.carrier && first && (blocked || now >= this.since + this.#policy.downPatience)) {
      track.carry(first, now, blocked ? "none can send" : "no echo came yet");
    }
    if (!blocked || !track.carrier) return;
    this.blocked = true;
    this.#plan(now);
    track.note(track.carrier.name, "uplink", "blocked");
    for (const lane of track.candidates()) {
      if (!lane.muted) continue;
      track.fails(lane, now);
      track.close(lane, "no echo");
    }
  }

  /** The carrier is gone: a link beside it that was greeted, but not proven yet, may have to carry now. */
  #turnToGreeted(now: number): void {
    if (this.#track.carrier || this.since !== null) return;
    for (const lane of this.#greeted()) {
      lane.muted = false;
      this.begin(now);
      this.#track.say("prove", lane);
    }
  }

  /** The candidates whose hello has come. */
  #greeted(): Lane[] {
    return this.#track.lanes.filter((lane) => lane.state === "greeted");
  }

  /** Where it is blocked, and time to look again. */
  onTime(now: number): void {
    const carrier = this.#track.carrier;
    if (!carrier || !this.blocked || now < this.againAt) return;
    this.#plan(now);
    this.#track.say("prove", carrier);
  }

  #plan(now: number): void {
    const { probeMin, uplinkMax } = this.#policy;
    this.againAt = now + spread(doubled(probeMin, this.#tries, uplinkMax), this.#jitter());
    this.#tries += 1;
  }

  /** When to call `settle` or `onTime`. */
  times(): number[] {
    if (this.blocked) return [this.againAt];
    if (this.since === null) return [];
    const over = this.since + this.#policy.proofTimeout;
    return this.#track.carrier ? [over] : [this.since + this.#policy.downPatience, over];
  }
}
