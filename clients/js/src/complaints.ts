/** What a client tells the server about a transport that it gave up: `why=ws:refused`, once, as it opens another. */

import type { TransportName } from "./wire/messages.js";

/** At most one waits to be told, the last. What was told is not told again until that transport brings something. */
export class Complaints {
  #next: TransportName | null = null;
  #reason = "";
  readonly #told = new Set<TransportName>();

  about(transport: TransportName, reason: string): void {
    if (this.#told.has(transport)) return;
    this.#next = transport;
    this.#reason = reason;
  }

  /** It has brought something; or null: nothing can be reached, and that is no transport's fault. */
  takeBack(transport: TransportName | null): void {
    if (!transport) this.#told.clear();
    else this.#told.delete(transport);
    if (!transport || this.#next === transport) this.#next = null;
  }

  /** For a link of `transport` that is opened now; `waiting`: those that are open, but do not carry yet. */
  tell(transport: TransportName, waiting: Iterable<TransportName>): string | undefined {
    for (const other of waiting) if (!this.#next && other !== transport) this.about(other, "slow");
    const next = this.#next;
    if (!next || next === transport) return;
    this.#told.add(next);
    this.#next = null;
    return `${next}:${this.#reason}`;
  }
}
