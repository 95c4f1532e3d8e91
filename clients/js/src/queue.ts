/** For sources that cannot be held back: what they bring waits here for who iterates. */

/** Ended, it still hands out what it has, and then throws. */
export class Queue<T> {
  readonly #limit: number;
  #items: [item: T, size: number][] = [];
  #size = 0;
  #end: Error | null = null;
  #wake: (() => void) | null = null;

  /** `limit` is of what `size` counts. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether there is room for more. */
  push(item: T, size: number): boolean {
    if (this.#end) return true;
    this.#items.push([item, size]);
    this.#size += size;
    this.#wake?.();
    return this.#size <= this.#limit;
  }

  /** The first end counts. */
  end(error: Error): void {
    this.#end ??= error;
    this.#wake?.();
  }

  /** For one at a time. */
  async next(): Promise<T> {
    if (!this.#items.length && !this.#end) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    const first = this.#items.shift();
    if (!first) throw this.#end;
    this.#size -= first[1];
    return first[0];
  }
}
