/** Between the link that reads and the consumer: bounded, and nothing is ever dropped. */

import type { Item } from "./session.js";
import { Pulse } from "./time.js";
import { Cursor } from "./wire/cursor.js";

/**
 * `put` never waits, so that what was taken off a link cannot get lost; the reader waits for `room` before it reads on.
 * So it holds `limit` items and what one frame (a poll's answer: 500 messages) brings.
 */
export class Mailbox {
  /** It was full, and is not half empty again: the reader waits. */
  held = false;
  readonly #limit: number;
  readonly #pulse = new Pulse();
  #items: Item[] = [];
  #handed: Cursor | null = null;
  #end: Error | null = null;
  #outlet: ((item: Item) => void) | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** `before` is the cursor before this item. */
  put(item: Item, before: Cursor | null): void {
    if (!this.#items.length) this.#handed = before;
    this.#items.push(item);
    if (this.#items.length >= this.#limit) this.held = true;
    this.#drain();
    this.#pulse.notify();
  }

  room(): Promise<void> {
    return this.#pulse.until(() => !this.held || this.#end !== null);
  }

  /** The oldest item; once all are handed out, throws what the mailbox was closed with. */
  async get(): Promise<Item> {
    while (!this.#items.length) {
      if (this.#end) throw this.#end;
      await this.#pulse.until(() => this.#items.length > 0 || this.#end !== null);
    }
    return this.#take();
  }

  /** From now on everything goes there at once; null: it waits here for `get`. */
  pour(outlet: ((item: Item) => void) | null): void {
    this.#outlet = outlet;
    this.#drain();
  }

  /** How far the consumer is, `received` being how far the session is. */
  position(received: Cursor | null): Cursor | null {
    return this.#items.length ? this.#handed : received;
  }

  /** What is in it can still be got. */
  close(end: Error): void {
    this.#end ??= end;
    this.#pulse.notify();
  }

  #drain(): void {
    while (this.#outlet && this.#items.length) this.#outlet(this.#take());
  }

  #take(): Item {
    const item = this.#items.shift() as Item;
    this.#handed = Cursor.parse(item.cursor);
    if (this.held && this.#items.length <= this.#limit / 2) {
      this.held = false;
      this.#pulse.notify();
    }
    return item;
  }
}
