/** Deadlines, pauses and waiting, in seconds. */

import { ConnectFailed, type TransportError } from "./errors.js";

/** Browsers and Node take a much larger delay for none at all. */
const SECONDS_MAX = 2e6;

/** Seconds of a clock that does not go back. */
export function now(): number {
  return performance.now() / 1000;
}

/** As setTimeout, for any number of seconds; too many are as good as infinitely many. */
export function later(seconds: number, work: () => void): ReturnType<typeof setTimeout> | undefined {
  return seconds > SECONDS_MAX ? undefined : setTimeout(work, Math.max(0, seconds * 1000));
}

/**
 * What `work` comes to within so many seconds; its signal aborts then, with `parent`, and at the end.
 *
 * Rejects with what `late` makes of a ConnectFailed, or with the parent's reason. Nothing waits for work that does not
 * heed its signal.
 */
export function within<T>(
  seconds: number,
  parent: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  late = (timedOut: TransportError): Error => timedOut,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const controller = new AbortController();
    const { signal } = controller;
    const timer = later(seconds, () => controller.abort(late(new ConnectFailed(`no answer within ${seconds} s`))));
    const follow = () => controller.abort(parent?.reason);
    parent?.addEventListener("abort", follow, { signal });
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
    if (parent?.aborted) follow();
    else {
      // In the end it aborts in any case, which lets go of all that hangs on it.
      work(signal)
        .then(resolve, reject)
        .finally(() => controller.abort());
    }
  });
}

/** Rejects with the signal's reason when that aborts. */
export function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  const pulse = new Pulse();
  let over = false;
  later(seconds, () => {
    over = true;
    pulse.notify();
  });
  return pulse.until(() => over, signal);
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
      const look = () => {
        try {
          signal?.throwIfAborted();
          if (!test()) return;
          resolve();
        } catch (error) {
          reject(error);
        }
        this.#waiting.delete(look);
        signal?.removeEventListener("abort", look);
      };
      this.#waiting.add(look);
      signal?.addEventListener("abort", look);
      look();
    });
  }
}
