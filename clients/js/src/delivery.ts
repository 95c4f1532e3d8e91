/** What the session lets through, to where it belongs; and a count of it. */

import type { Mailbox } from "./mailbox.js";
import type { Item } from "./session.js";
import { Cursor } from "./wire/cursor.js";
import type { Message } from "./wire/messages.js";

/**
 * Into the mailbox; but the inbox is this client's own: neither its messages nor its losses are the user's.
 *
 * `lost` counts the gaps that are exact; `duplicated` what came twice or out of order: to prevent that is up to the
 * session, here it is only checked.
 */
export class Delivery {
  readonly counts = { received: 0, lost: 0, duplicated: 0, gaps: 0 };
  readonly #mailbox: Mailbox;
  readonly #inbox: string;
  readonly #onInbox: (message: Message) => void;
  #last: Cursor | null = null;

  constructor(mailbox: Mailbox, inbox: string, onInbox: (message: Message) => void) {
    this.#mailbox = mailbox;
    this.#inbox = inbox;
    this.#onInbox = onInbox;
  }

  /** `before` is the session's cursor before the item. */
  deliver(item: Item, before: Cursor | null): void {
    if (item.type === "gap") {
      const topics = item.topics.filter((topic) => topic !== this.#inbox);
      if (!topics.length) return;
      this.counts.gaps += 1;
      this.counts.lost += Number(item.exact);
      this.#mailbox.put({ ...item, topics }, before);
    } else if (item.topic === this.#inbox) {
      this.#onInbox(item);
    } else {
      this.#count(item);
      this.#mailbox.put(item, before);
    }
  }

  #count(message: Message): void {
    this.counts.received += 1;
    const cursor = Cursor.parse(message.cursor);
    if (cursor?.isWithin(this.#last)) this.counts.duplicated += 1;
    this.#last = cursor;
  }
}
