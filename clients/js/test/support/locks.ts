/** `navigator.locks`, as far as tabs that share a stream need them. */

type Hold = () => unknown;
type Options = { signal?: AbortSignal; steal?: boolean };
type Lock = { name: string; hold: Hold; settle: (value: unknown) => void; fail: (error: Error) => void };

export class Locks {
  #held: Lock[] = [];
  #pending: Lock[] = [];

  request(name: string, options: Options, hold: Hold): Promise<unknown> {
    return new Promise((settle, fail) => {
      const lock = { name, hold, settle, fail };
      const drop = () => {
        if (!this.#pending.includes(lock)) return;
        this.#pending = this.#pending.filter((it) => it !== lock);
        fail(new Error("aborted"));
      };
      options.signal?.addEventListener("abort", drop);
      if (options.steal) {
        this.#take(name, new Error("stolen"));
        this.#pending.unshift(lock);
      } else {
        this.#pending.push(lock);
      }
      if (options.signal?.aborted) drop();
      queueMicrotask(() => this.#grant());
    });
  }

  async query() {
    return { held: this.#held.map(({ name }) => ({ name })), pending: [] };
  }

  get names(): string[] {
    return this.#held.map(({ name }) => name);
  }

  #take(name: string, why: Error): void {
    for (const lock of this.#held) if (lock.name === name) lock.fail(why);
    this.#held = this.#held.filter((it) => it.name !== name);
  }

  #grant(): void {
    for (const lock of [...this.#pending]) {
      if (this.names.includes(lock.name)) continue;
      this.#pending = this.#pending.filter((it) => it !== lock);
      this.#held.push(lock);
      Promise.resolve(lock.hold()).then((value) => {
        lock.settle(value);
        this.#held = this.#held.filter((it) => it !== lock);
        this.#grant();
      }, lock.fail);
    }
  }
}
