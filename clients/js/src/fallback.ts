/**
 * Which transport to open, prove, carry with and close, and when. No I/O: told what happened and the time.
 *
 * The transports race with a head start for the better ones. One *works* when its hello has come and an echo too
 * (where the last echo is recent, hello is enough to begin with). The first that works carries; a better one that works
 * later takes over, and only then is the old one closed. Where nothing can be sent, the best that brings a hello
 * carries.
 *
 * A loss is first only a suspicion: see `lanes`. When everything fails, "check" tells whether the server can be reached
 * at all; where it cannot, nothing is held against any transport.
 */

import type { Action } from "./actions.js";
import { Lane, Pauses } from "./lanes.js";
import { POLICY, type Policy } from "./policy.js";
import { Round } from "./rounds.js";
import { Track } from "./track.js";
import { type Uplink, UplinkSearch } from "./uplink.js";
import type { TransportName } from "./wire/messages.js";

/**
 * Times are in seconds of any clock that does not go back; `jitter` gives numbers from 0 to 1.
 *
 * Every event returns what to do, in order; the actions have no outcome other than the events they lead to. Events of
 * a transport that is not open are ignored. `nextTime` says when to call `onTime` if nothing happens.
 */
export class Race {
  readonly policy: Policy;
  readonly #lanes: Lane[];
  readonly #pauses: Pauses;
  readonly #track: Track;
  readonly #round: Round;
  readonly #search: UplinkSearch;
  // Of this round: whether the server itself has said no, whether it is being asked.
  #answered = false;
  #checking = false;

  /** `transports`: the best first. */
  constructor(transports: readonly TransportName[], policy: Partial<Policy> = {}, jitter: () => number = Math.random) {
    this.policy = { ...POLICY, ...policy };
    this.#lanes = transports.map((name, rank) => new Lane(name, rank, this.policy, jitter));
    this.#pauses = new Pauses(this.policy, jitter);
    this.#track = new Track(this.#lanes, this.#pauses);
    this.#round = new Round(this.#lanes, this.policy);
    this.#search = new UplinkSearch(this.#track, this.policy, jitter);
  }

  get carrier(): TransportName | null {
    return this.#track.carrier?.name ?? null;
  }

  /** Whether what is sent arrives, as far as is known. */
  get uplink(): Uplink {
    if (this.#track.carrier?.proven) return "ok";
    return this.#search.blocked && this.#track.carrier ? "blocked" : "unknown";
  }

  // What happens

  /** `remembered`: what worked `age` seconds ago starts first. */
  begin(now: number, remembered: TransportName | null = null, age = 0): Action[] {
    const first = this.#lanes.find((lane) => lane.name === remembered);
    if (first) first.provenAt = now - age;
    this.#startRound(now, first);
    return this.#act(now);
  }

  onHello(transport: TransportName, now: number): Action[] {
    const lane = this.#lane(transport);
    if (lane.state !== "opening") return [];
    lane.state = "greeted";
    this.#track.say("prove", lane);
    if (!this.#track.carrier && lane.isTrusted(now)) {
      lane.proven = true;
      this.#works(lane, now, "hello came, and it worked lately");
    } else if (this.#search.since === null && !this.#search.isSettled) {
      this.#search.begin(now);
    }
    return this.#act(now);
  }

  /** An echo came back after `rtt` seconds (null: the server has answered, which is as good). */
  onProven(transport: TransportName, now: number, rtt: number | null = null): Action[] {
    const lane = this.#lane(transport);
    if (!lane.isGreeted) return [];
    if (rtt !== null) this.#round.adapt(rtt);
    if (!lane.proven && lane === this.#track.carrier) this.#track.note(transport, "uplink", "ok");
    lane.isProvenByEcho(now);
    this.#works(lane, now, "hello and echo came");
    return this.#act(now);
  }

  /** No echo came in time, or what was sent was refused on its way. */
  onUnproven(transport: TransportName, now: number, why = ""): Action[] {
    const lane = this.#lane(transport);
    if (!lane.isGreeted) return [];
    lane.muted = true;
    if (lane === this.#track.carrier) {
      if (lane.proven) this.#seekUplink(lane, now);
    } else if (this.#search.isSettled) {
      this.#track.fails(lane, now);
      this.#track.close(lane, why || "no echo");
    }
    return this.#act(now);
  }

  /** A command got no answer on the link that carries. */
  onDoubt(transport: TransportName, now: number): Action[] {
    const lane = this.#lane(transport);
    if (lane !== this.#track.carrier || !lane.proven) return [];
    this.#seekUplink(lane, now);
    this.#track.say("prove", lane);
    return this.#act(now);
  }

  /** A link that did not carry has ended. `answered`: by the server's own word, so the network is all right. */
  onFailed(transport: TransportName, now: number, retryAfter: number | null = null, answered = false): Action[] {
    const lane = this.#lane(transport);
    if (!lane.isOpen) return [];
    if (lane === this.#track.carrier) return this.onLost(transport, now, 0, { retryAfter });
    this.#answered ||= answered;
    lane.defer(now, retryAfter);
    this.#track.fails(lane, now);
    this.#round.hurry(now);
    return this.#act(now);
  }

  /**
   * The link that carried has ended after `lived` seconds. `bye`: as the server had announced; `stalled`: it was
   * silent for too long.
   */
  onLost(
    transport: TransportName,
    now: number,
    lived: number,
    {
      retryAfter = null,
      bye = false,
      stalled = false,
    }: { retryAfter?: number | null; bye?: boolean; stalled?: boolean },
  ): Action[] {
    const lane = this.#lane(transport);
    if (lane !== this.#track.carrier) return this.onFailed(transport, now, retryAfter);
    lane.isLost(now, lived, bye, stalled);
    this.#track.carrier = null;
    this.#search.end();
    const others = this.#lanes.filter((other) => !other.isDoubtful(now)).map((other) => other.name);
    const wait = this.#pauses.afterLoss(transport, lived, others);
    for (const other of bye ? this.#lanes : [lane]) other.defer(now, retryAfter);
    // What was good until now is first tried again, unless it has been cut twice.
    if (wait || this.#lanes.every((other) => other.notBefore > now)) this.#wait(now, wait);
    else this.#startRound(now, lane);
    return this.#act(now);
  }

  /**
   * The link cannot go on as it is, by no fault of its own: it has other topics than are asked for, or begins past the
   * cursor. It is opened anew.
   */
  onStale(transport: TransportName, now: number, why = ""): Action[] {
    const lane = this.#lane(transport);
    if (!lane.isOpen) return [];
    if (lane === this.#track.carrier) {
      this.#track.carrier = null;
      this.#search.end();
      this.#round.standBy(
        now,
        this.#lanes.filter((other) => other !== lane),
      );
    }
    this.#track.open(lane, now, why);
    return this.#act(now);
  }

  /** Other topics are asked for: what is open beside the carrier is opened anew. */
  onTopics(now: number): Action[] {
    for (const lane of this.#track.candidates()) this.#track.open(lane, now, "with other topics");
    return this.#act(now);
  }

  /** A candidate was given up by no fault of its own; it is tried again later. */
  onWithdrawn(transport: TransportName, now: number): Action[] {
    const lane = this.#lane(transport);
    if (lane.isOpen && lane !== this.#track.carrier) this.#track.fails(lane, now);
    return this.#act(now);
  }

  /** The answer to "check". */
  onOnline(now: number, online: boolean): Action[] {
    this.#checking = false;
    if (online) {
      this.#track.note(null, "online", "the server answers, but no transport works");
      this.#track.confirm(now);
    } else {
      this.#track.note(null, "offline", "nothing answers");
      this.#track.acquit();
    }
    this.#rest(now);
    return this.#act(now);
  }

  onTime(now: number): Action[] {
    if (this.#round.beginsAt !== null && now >= this.#round.beginsAt) this.#startRound(now);
    const due = this.#probes().filter(([, when]) => now >= when);
    this.#search.onTime(now);
    for (const [lane] of due) this.#track.open(lane, now, "does it work by now?");
    return this.#act(now);
  }

  /** When to call `onTime`; null while only an event can change anything. */
  nextTime(): number | null {
    const probes = this.#probes().map(([, when]) => when);
    const times = [...probes, ...this.#search.times(), ...this.#round.times()];
    return times.length ? Math.min(...times) : null;
  }

  #lane(transport: TransportName): Lane {
    return this.#lanes.find((lane) => lane.name === transport) as Lane;
  }

  // The round

  /** What is due by now, and all that came of the event. */
  #act(now: number): Action[] {
    this.#search.endUnlessGreeted();
    for (;;) {
      const lane = this.#round.take(now, this.#search.since);
      if (!lane) break;
      this.#track.open(lane, now);
    }
    this.#search.settle(now, this.#round.waiting.length > 0);
    const pending = this.#checking || this.#round.times().length || this.#lanes.some((lane) => lane.isOpen);
    if (!pending) this.#roundOver(now);
    return this.#track.actions.splice(0);
  }

  #startRound(now: number, first?: Lane): void {
    this.#answered = false;
    this.#track.failed = [];
    this.#round.start(now, first);
  }

  #roundOver(now: number): void {
    if (this.#answered) {
      this.#rest(now);
    } else {
      this.#checking = true;
      this.#track.actions.push({ do: "check" });
    }
  }

  #rest(now: number): void {
    this.#wait(now, this.#pauses.next());
  }

  /** Until some transport may be tried again, and `wait` at least. */
  #wait(now: number, wait: number): void {
    const allowed = Math.min(...this.#lanes.map((lane) => lane.notBefore));
    const until = Math.max(now + wait, allowed);
    this.#round.waitUntil(until);
    this.#track.note(null, "wait", `${(until - now).toFixed(2)} s`);
  }

  // Who carries

  #works(lane: Lane, now: number, why: string): void {
    const track = this.#track;
    track.confirm(now);
    const old = track.carrier;
    if (!old?.proven || lane.rank < old.rank) track.carry(lane, now, why);
    else if (lane !== old) track.close(lane, "another works");
    this.#calm(track.carrier as Lane, now);
  }

  /** The carrier works in both directions: what is worse is not needed. */
  #calm(carrier: Lane, now: number): void {
    this.#round.stop();
    this.#search.end();
    for (const lane of this.#track.candidates()) {
      if (lane.rank < carrier.rank) continue;
      this.#track.close(lane, `${carrier.name} works`);
      lane.planProbe(now);
    }
  }

  /** What is worth a try beside the carrier, and when. Where nothing can be sent, also what is in quarantine. */
  #probes(): [Lane, number][] {
    const carrier = this.#track.carrier;
    if (!carrier) return [];
    const idle = this.#lanes.filter((lane) => !lane.isOpen && !this.#round.waiting.includes(lane));
    if (!carrier.proven) {
      // Whenever the carrier's own uplink is asked again, so are the others'.
      const asked = this.#search.blocked ? this.#search.againAt : Number.POSITIVE_INFINITY;
      return idle.map((lane) => [lane, Math.min(lane.probeAt, asked)]);
    }
    const better = idle.filter((lane) => lane.rank < carrier.rank);
    return better.map((lane) => [lane, Math.max(lane.probeAt, lane.quarantinedUntil)]);
  }

  /** The carrier goes on bringing messages, while the others are asked whether they can send. */
  #seekUplink(lane: Lane, now: number): void {
    lane.proven = false;
    lane.provenAt = null;
    this.#search.begin(now);
    this.#round.standBy(now, this.#lanes, lane.muted);
  }
}
