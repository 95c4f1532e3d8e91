/** A publish that takes effect once: retried with its id while that is safe, and an honest answer where it is not. */

import {
  CommandError,
  ConnectFailed,
  ConnectionLost,
  Forbidden,
  OutcomeUnknown,
  ProtocolError,
  RateLimited,
  TooMany,
  TransportError,
  TricastError,
  Unauthorized,
  Unavailable,
  UplinkBlocked,
} from "./errors.js";
import type { Keeper } from "./keeper.js";
import { now, sleep, within } from "./time.js";
import type { Answer, Link } from "./transports/base.js";
import { Cursor } from "./wire/cursor.js";
import type { Publish, Reply } from "./wire/messages.js";

/** Seconds. */
const PAUSE_BASE = 0.1;
const PAUSE_CAP = 2;

/** Errors that say nothing about what an earlier attempt did: the others would have met it too. */
const MAY_CHANGE = [UplinkBlocked, Unavailable, TooMany, RateLimited, Unauthorized, Forbidden];

/** One publish, from its first attempt to its outcome. */
export class Publication {
  readonly #keeper: Keeper;
  readonly #command: Publish;
  /** An attempt that may have taken effect: when it began, and in which epoch. */
  #doubt: { since: number; epoch: string | null } | null = null;
  #last: TricastError | null = null;
  #triedOn: Link | null = null;

  constructor(keeper: Keeper, command: Publish) {
    this.#keeper = keeper;
    this.#command = command;
  }

  /**
   * The cursor where it was appended, within `timeout` seconds.
   *
   * Rejects with OutcomeUnknown where an attempt may have taken effect and another could do so again, or the time is
   * up; else with the server's CommandError; else with what kept it from being sent. When `signal` aborts, with its
   * reason, and the outcome is unknown.
   */
  async carryOut(timeout: number, signal?: AbortSignal): Promise<string> {
    const late = (timedOut: TricastError) => this.#outcome(this.#last ?? timedOut);
    return within(timeout, signal, (life) => this.#attempts(life), late);
  }

  async #attempts(signal: AbortSignal): Promise<string> {
    for (let pause = PAUSE_BASE; ; pause = Math.min(2 * pause, PAUSE_CAP)) {
      const link = await this.#link(signal);
      const answer = await this.#attempt(link);
      if (!(answer instanceof Error)) return this.#appended(answer);
      const asked = answer instanceof CommandError ? (answer.retryAfter ?? 0) : 0;
      await sleep(Math.max(pause, asked), signal);
    }
  }

  async #link(signal: AbortSignal): Promise<Link> {
    const keeper = this.#keeper;
    let link: Link;
    try {
      link = await keeper.sending(signal);
    } catch (error) {
      throw error instanceof TricastError ? this.#outcome(error) : error;
    }
    const doubt = this.#doubt;
    if (doubt && keeper.epoch !== doubt.epoch) throw this.#outcome(new ConnectionLost("the log is another one now"));
    if (doubt && now() - doubt.since > keeper.dedupeWindow) {
      throw this.#outcome(new ConnectionLost("its id may be forgotten by now"));
    }
    return link;
  }

  /** The reply, or an error after which to try again. Rejects with those after which not. */
  async #attempt(link: Link): Promise<Reply | TricastError> {
    const before = this.#doubt;
    // Set while under way, so that a time limit that strikes in the middle leaves the doubt.
    this.#doubt = before ?? { since: now(), epoch: this.#keeper.epoch };
    const answer = await this.#answer(link);
    this.#triedOn = link;
    if (!(answer instanceof Error)) {
      this.#doubt = before;
      return answer;
    }
    this.#last = answer;
    if (!(answer instanceof ConnectionLost || answer instanceof Unavailable)) {
      this.#doubt = before;
      this.#stopAt(answer);
    }
    return answer;
  }

  async #answer(link: Link): Promise<Answer | TricastError> {
    try {
      // What has failed in a link's stream once may get through beside it.
      return await this.#keeper.send(link, this.#command, link === this.#triedOn);
    } catch (error) {
      if (error instanceof TransportError || error instanceof CommandError) return error;
      throw error;
    }
  }

  /** Throws where trying again is no use, or must not be guessed at. */
  #stopAt(error: TricastError): void {
    // Another transport may get through; where none does, there will be no link to send on.
    if (error instanceof ConnectFailed || error instanceof UplinkBlocked) return;
    if (!this.#doubt || !MAY_CHANGE.some((kind) => error instanceof kind)) throw error;
    if (!error.retryable) throw this.#outcome(error);
  }

  #appended(reply: Reply): string {
    const at = Cursor.parse(reply.at);
    if (!at) throw new ProtocolError("the reply does not say where it was appended");
    const epoch = this.#doubt?.epoch ?? at.epoch;
    if (epoch !== at.epoch) {
      throw this.#outcome(new ConnectionLost(`it was appended at ${at}, in another log`));
    }
    return `${at}`;
  }

  /** The error itself, or OutcomeUnknown where an attempt may have taken effect. */
  #outcome(error: TricastError): TricastError {
    if (!this.#doubt) return error;
    const { id } = this.#command;
    const why = `publish ${id} may have taken effect: ${error.message}`;
    return new OutcomeUnknown(why, { cause: error });
  }
}
