/** Deadlines, pauses and waiting, in seconds. */

/** Browsers and Node take a larger delay for none at all. */
const DELAY_MAX = 2 ** 31 - 1;

export class TimeIsUp extends Error {}

/** Seconds of a clock that does not go back. */
export function now(): number {
  return performance.now() / 1000;
}

/** As setTimeout, for any number of seconds; too many are as good as infinitely many. */
export function later(seconds: number, work: () => void): ReturnType<typeof setTimeout> | undefined {
  const delay = Math.max(0, seconds * 1000);
  return delay > DELAY_MAX ? undefined : setTimeout(work, delay);
}

/**
 * What `work` comes to within so many seconds; its signal aborts then, and with `parent`. Rejects with TimeIsUp, or
 * with the parent's reason. Nothing waits for work that does not heed its signal.
 */
export function within<T>(
  seconds: number,
  parent: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController();
    const { signal } = controller;
    const timer = later(seconds, () => controller.abort(new TimeIsUp()));
    const follow = () => controller.abort(parent?.reason);
    parent?.addEventListener("abort", follow);
    signal.addEventListener("abort", () => reject(signal.reason));
    if (parent?.aborted) follow();
    const settle = () => {
      clearTimeout(timer);
      parent?.removeEventListener("abort", follow);
    };
    (signal.aborted ? Promise.reject(signal.reason) : work(signal)).then(resolve, reject).finally(settle);
  });
}

/** Rejects with the signal's reason when that aborts. */
export function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = later(seconds, resolve);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** Lets some wait until a condition holds: whoever changes something calls `notify`. */
export class Pulse {
  readonly #waiting = new Set<() => void>();

  notify(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Rejects with what `test` throws, and with the signal's reason. */
  until(test: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        this.#waiting.delete(look);
        signal?.removeEventListener("abort", look);
        end();
      };
      const look = () => {
        try {
          if (signal?.aborted) settle(() => reject(signal.reason));
          else if (test()) settle(resolve);
        } catch (error) {
          settle(() => reject(error));
        }
      };
      this.#waiting.add(look);
      signal?.addEventListener("abort", look);
      look();
    });
  }
}
