/**
 * What is known of one transport: how it has failed, whether it is in quarantine, when to look at it again. No I/O.
 *
 * A loss leaves a suspicion. It becomes a strike only when something works soon afterwards, since where nothing does
 * the network was gone, and that is nobody's fault. Strikes fade; two of them within a while put the transport in
 * quarantine.
 */

import type { Policy } from "./policy.js";
import type { TransportName } from "./wire/messages.js";

/** Two within a half-life. After a quarantine one is left, so that the next one leads back to it. */
const STRIKES = 1.5;
/** Two ages are the same if they differ by less than this part (or a second). */
const SAME_AGE = 0.1;

/** `start`, doubled so many times, but not beyond `most`. */
export function doubled(start: number, times: number, most: number): number {
  return Math.min(most, start * 2 ** times);
}

/** Up to a quarter more or less, so that clients do not act all at once. `jitter` from 0 to 1. */
export function spread(seconds: number, jitter: number): number {
  return seconds * (0.75 + 0.5 * jitter);
}

/**
 * One transport, by its `rank` (0 is best). `proven`: an echo has come back on the link that is open, or the last one
 * is trusted. `muted`: on this link nothing can be sent. Times are in seconds.
 */
export class Lane {
  state: "idle" | "opening" | "greeted" | "carrying" = "idle";
  proven = false;
  muted = false;
  openedAt = 0;
  provenAt: number | null = null;
  notBefore = 0;
  probeAt = 0;
  fails = 0;
  quarantinedUntil = 0;
  readonly #policy: Policy;
  readonly #jitter: () => number;
  #quarantines = 0;
  #strikes = 0;
  #struckAt = 0;
  #suspectedAt: number | null = null;
  #ages: number[] = [];

  constructor(
    readonly name: TransportName,
    readonly rank: number,
    policy: Policy,
    jitter: () => number,
  ) {
    this.#policy = policy;
    this.#jitter = jitter;
  }

  get isOpen(): boolean {
    return this.state !== "idle";
  }

  /** Its hello has come. */
  get isGreeted(): boolean {
    return this.isOpen && this.state !== "opening";
  }

  /** In quarantine, or will be if the suspicion is confirmed: to be tried after all others. */
  isDoubtful(now: number): boolean {
    return now < this.quarantinedUntil || (this.#suspectedAt !== null && this.#faded(now) + 1 >= STRIKES);
  }

  isTrusted(now: number): boolean {
    return this.provenAt !== null && now - this.provenAt <= this.#policy.trust;
  }

  /** The server asks not to be tried for so many seconds. */
  defer(now: number, retryAfter: number | null): void {
    if (retryAfter) this.notBefore = Math.max(this.notBefore, now + Math.min(retryAfter, this.#policy.retryAfterMax));
  }

  opens(now: number): void {
    this.state = "opening";
    this.openedAt = now;
    this.proven = this.muted = false;
  }

  isProvenByEcho(now: number): void {
    this.proven = true;
    this.muted = false;
    this.provenAt = now;
    this.fails = 0;
  }

  failsToWork(): void {
    this.state = "idle";
    this.proven = false;
    this.provenAt = null;
    this.fails += 1;
  }

  /** It had carried for `lived` seconds. Unless that is `blameless`, it may be suspect now. */
  isLost(now: number, lived: number, blameless: boolean, stalled: boolean): void {
    const policy = this.#policy;
    this.state = "idle";
    this.proven = false;
    if (blameless) return;
    if (lived >= policy.forgive) this.#strikes = this.#quarantines = this.fails = 0;
    const again = this.#ages.some((age) => Math.abs(lived - age) < Math.max(1, SAME_AGE * age));
    this.#ages = [...this.#ages.slice(-1), lived];
    if (lived >= policy.early && !(again && lived < policy.regular) && !stalled) return;
    this.#suspectedAt = now;
    this.provenAt = null;
  }

  /** Something works: a suspicion that is fresh becomes a strike. Whether that means quarantine. */
  confirm(now: number): boolean {
    const policy = this.#policy;
    const since = this.#suspectedAt;
    this.#suspectedAt = null;
    if (since === null || now - since > policy.confirm) return false;
    this.#strikes = this.#faded(now) + 1;
    this.#struckAt = now;
    if (this.#strikes < STRIKES) return false;
    this.quarantinedUntil = now + doubled(policy.quarantineMin, this.#quarantines, policy.quarantineMax);
    this.#quarantines += 1;
    // Fading begins at the end of the quarantine: until then nothing can be known.
    this.#strikes = 1;
    this.#struckAt = this.quarantinedUntil;
    return true;
  }

  /** Nothing works: it was not this transport's fault. */
  acquit(): void {
    this.#suspectedAt = null;
  }

  planProbe(now: number): void {
    const policy = this.#policy;
    const delay = spread(doubled(policy.probeMin, this.fails, policy.probeMax), this.#jitter());
    this.probeAt = Math.max(now + delay, this.notBefore);
  }

  #faded(now: number): number {
    return this.#strikes * 0.5 ** (Math.max(0, now - this.#struckAt) / this.#policy.strikeHalfLife);
  }
}

/** Between the rounds of all transports: they double until a link lives for a while. */
export class Pauses {
  readonly #policy: Policy;
  readonly #jitter: () => number;
  #taken = 0;
  #died: TransportName[] = [];

  constructor(policy: Policy, jitter: () => number) {
    this.#policy = policy;
    this.#jitter = jitter;
  }

  /** Seconds. At least half of them always pass, the rest is spread over the clients. */
  next(): number {
    const full = doubled(this.#policy.backoffMin, this.#taken, this.#policy.backoffMax);
    this.#taken += 1;
    return full * (0.5 + 0.5 * this.#jitter());
  }

  /** Whether a link that carried for so long ends the hurry that pauses are for. */
  afterLife(lived: number): boolean {
    const steady = lived >= this.#policy.steady;
    if (steady) {
      this.#taken = 0;
      this.#died = [];
    }
    return steady;
  }

  /**
   * Seconds. A first early end may have been chance, and after a second one it is the turn of the others that have
   * not died: both begin at once.
   */
  afterLoss(transport: TransportName, lived: number, others: TransportName[]): number {
    if (this.afterLife(lived)) return 0;
    const fresh = others.some((other) => !this.#died.includes(other));
    const deaths = this.#died.filter((name) => name === transport).length;
    const wait = fresh && deaths < 2 ? 0 : this.next();
    this.#died.push(transport);
    return wait;
  }
}
