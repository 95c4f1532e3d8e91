/** To whom the mailbox is emptied: to who iterates, and while nobody does, to those who listen. */

import { BusClosed, GapError } from "./errors.js";
import type { Mailbox } from "./mailbox.js";
import type { Item } from "./session.js";

export class Outlet {
  readonly #mailbox: Mailbox;
  readonly #tell: (item: Item) => void;
  readonly #onGap: "yield" | "throw";
  #iterators = 0;
  #listened = false;

  /** `tell` hears of everything that is handed out, at that moment. */
  constructor(mailbox: Mailbox, onGap: "yield" | "throw", tell: (item: Item) => void) {
    this.#mailbox = mailbox;
    this.#onGap = onGap;
    this.#tell = tell;
  }

  /** From now on somebody listens. */
  listen(): void {
    this.#listened = true;
    // Other listeners may be added yet.
    queueMicrotask(() => this.#change(0));
  }

  iterate(): AsyncIterator<Item, undefined> {
    let active = false;
    const be = (on: boolean) => {
      if (on !== active) this.#change(on ? 1 : -1);
      active = on;
    };
    be(true);
    return {
      next: async () => {
        be(true);
        try {
          const item = await this.#mailbox.get();
          this.#tell(item);
          if (item.type === "gap" && this.#onGap === "throw") throw new GapError(item);
          return { done: false, value: item };
        } catch (error) {
          be(false); // a loop that ends by an error does not say so
          if (error instanceof BusClosed) return { done: true, value: undefined };
          throw error;
        }
      },
      return: async () => {
        be(false);
        return { done: true, value: undefined };
      },
    };
  }

  #change(by: number): void {
    this.#iterators += by;
    this.#mailbox.pour(this.#listened && !this.#iterators ? this.#tell : null);
  }
}
