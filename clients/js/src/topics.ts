/** Which topics are asked for, which the link that carries has, and what the server would not have. No I/O. */

import type { CommandError } from "./errors.js";
import type { Session } from "./session.js";
import type { Subscribe } from "./wire/messages.js";

export class Topics {
  readonly #session: Session;
  #carried = -1;
  #rejection: CommandError | null = null;
  #good: readonly string[] | null = null;

  constructor(session: Session) {
    this.#session = session;
  }

  /** From here on these are asked for too, or no more. The session's version with that change. */
  ask({ action, topics }: Subscribe): number {
    this.#rejection = null;
    this.#session[action](topics);
    return this.#session.version;
  }

  /** Whether a link has carried that version. Throws the CommandError with which the last change was refused. */
  isCarried(version: number): boolean {
    if (this.#rejection) throw this.#rejection;
    return this.#carried >= version;
  }

  /** The link that carries has these topics, which the session had at that version. */
  carries(version: number, topics: readonly string[]): void {
    this.#carried = version;
    this.#good = topics;
  }

  /** Whether topics that no link has carried yet can be what was refused; they are then asked for no more. */
  takeBack(error: CommandError): boolean {
    const good = this.#good;
    const added = good ? this.#session.topics.filter((topic) => !good.includes(topic)) : [];
    if (!added.length) return false;
    this.#session.unsubscribe(added);
    this.#rejection = error;
    return true;
  }
}
