/** The lanes of a race side by side, and which one carries. What becomes of a lane there is asked for, too. No I/O. */

import type { Action, Note, Step } from "./actions.js";
import type { Lane, Pauses } from "./lanes.js";
import type { TransportName } from "./wire/messages.js";

/**
 * `lanes`: the best first. `carrier`: the one that carries. `failed`: who did, in this round. `actions`: what was asked
 * for, in order, until whoever does it takes it from here. Times are in seconds.
 */
export class Track {
  carrier: Lane | null = null;
  failed: Lane[] = [];
  readonly actions: Action[] = [];
  readonly #pauses: Pauses;
  #carriedAt = 0;

  constructor(
    readonly lanes: readonly Lane[],
    pauses: Pauses,
  ) {
    this.#pauses = pauses;
  }

  /** What is open beside the carrier. */
  candidates(): Lane[] {
    return this.lanes.filter((lane) => lane.isOpen && lane !== this.carrier);
  }

  open(lane: Lane, now: number, why = ""): void {
    lane.opens(now);
    this.say("open", lane, why);
  }

  close(lane: Lane, why: string): void {
    lane.state = "idle";
    lane.proven = false;
    this.say("close", lane, why);
  }

  /** From now on this one, and no longer the one before. */
  carry(lane: Lane, now: number, why: string): void {
    const old = this.carrier;
    if (old) this.#pauses.afterLife(now - this.#carriedAt);
    lane.state = "carrying";
    this.carrier = lane;
    this.#carriedAt = now;
    this.say("carry", lane, why);
    if (old) this.close(old, `${lane.name} works`);
    for (const other of this.lanes) if (!other.isOpen) other.planProbe(now);
  }

  /** A candidate did not work, or was given up. */
  fails(lane: Lane, now: number): void {
    lane.failsToWork();
    lane.planProbe(now);
    this.failed.push(lane);
  }

  /** Nothing can be reached: neither losses nor the fails of this round are any lane's fault. */
  acquit(): void {
    for (const lane of this.lanes) lane.acquit();
    for (const lane of this.failed) lane.fails = Math.max(0, lane.fails - 1);
  }

  /** Something works, so what was lost lately was lost by its own fault. */
  confirm(now: number): void {
    for (const lane of this.lanes) {
      if (!lane.confirm(now)) continue;
      this.note(lane.name, "quarantine", `for ${(lane.quarantinedUntil - now).toFixed()} s`);
      lane.planProbe(now);
    }
  }

  say(action: Step["do"], { name }: Lane, why = ""): void {
    this.actions.push({ do: action, transport: name, why });
  }

  note(transport: TransportName | null, what: Note["what"], detail: string): void {
    this.actions.push({ do: "note", transport, what, detail });
  }
}
