/** Which topics the link that carries has, and what the server would not have. */

import type { CommandError } from "./errors.js";
import type { Session } from "./session.js";

export class Topics {
  /** The session's version whose topics a link has carried. */
  carried = -1;
  /** What the last change was refused with. */
  rejection: CommandError | null = null;
  readonly #session: Session;
  #good: readonly string[] | null = null;

  constructor(session: Session) {
    this.#session = session;
  }

  /** The link that carries has these topics, which the session had at that version. */
  carries(version: number, topics: readonly string[]): void {
    this.carried = version;
    this.#good = topics;
  }

  /** Whether topics that no link has carried yet can be what was refused; they are then asked for no more. */
  takeBack(error: CommandError): boolean {
    const good = this.#good;
    const added = good ? this.#session.topics.filter((topic) => !good.includes(topic)) : [];
    if (!added.length) return false;
    this.#session.unsubscribe(added);
    this.rejection = error;
    return true;
  }
}
