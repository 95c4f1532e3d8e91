/** Long poll down, `POST /send` up. Every poll is a pure read at a cursor, so any of them may be lost. */

import { ConnectFailed, ConnectionLost } from "../errors.js";
import { queryOf, type Request } from "../session.js";
import { now, sleep } from "../time.js";
import type { Batch } from "../wire/messages.js";
import { failureIn, LATE, Link, refusal } from "./base.js";

/** Seconds that a poll is held, */
const WAIT = 25;
/** and once a gateway has given up on a longer one. */
const WAIT_SHORT = 10;
const RETRIES = 3;

/** A proxy answered in the server's place. */
class GatewayTimeout extends ConnectionLost {}

export class LongPollLink extends Link {
  readonly name = "poll";
  #wait = WAIT;
  /** Of the poll that waits for more; null until the first one is answered, which has a time of its own. */
  #turn: AbortController | null = null;

  async *open(request: Request): AsyncGenerator<Batch, never> {
    try {
      let batch = await this.once(request);
      for (;;) {
        yield batch;
        if (batch.bye) throw new ConnectionLost("the server said bye");
        batch = await this.#pollOn({ ...request, cursor: batch.cursor });
      }
    } finally {
      this.close();
    }
  }

  override close(): void {
    super.close();
    this.#turn?.abort();
  }

  /** What there is, at once: any answer proves that the transport works. */
  once(request: Request): Promise<Batch> {
    return this.#poll(request, 0, this.target.connectTimeout, ConnectFailed);
  }

  /** Asks anew, which is the best sign of life. */
  override check(): void {
    this.prod();
  }

  protected override prod(): void {
    this.#turn?.abort(new ConnectionLost("asked anew"));
  }

  async #pollOn(request: Request): Promise<Batch> {
    for (let tries = 1; ; tries += 1) {
      if (this.life.signal.aborted) throw new ConnectionLost("the link was closed");
      const turn = new AbortController();
      this.#turn = turn;
      const due = now() + this.#wait + this.heartbeat;
      try {
        return await this.#poll(request, this.#wait, due - now(), ConnectionLost);
      } catch (error) {
        const held = error instanceof GatewayTimeout;
        // What ran out while timers were held up may have been answered.
        const again = held || turn.signal.aborted || now() > due + LATE;
        if (!again || tries >= RETRIES) throw error;
        if (held) this.#wait = WAIT_SHORT;
        await sleep(0.1, this.life.signal);
      }
    }
  }

  async #poll(request: Request, wait: number, seconds: number, error: typeof ConnectFailed | typeof ConnectionLost) {
    this.target.traffic.requests += 1;
    // The counter makes every URL unique: caches and some proxies merge what looks the same.
    const query = { ...queryOf(request), wait: `${wait}`, n: `${this.target.traffic.requests}` };
    const answer = await this.exchange("poll", query, {}, seconds, error, this.#turn?.signal);
    if (answer.status >= 502 && answer.status <= 504 && error === ConnectionLost && !failureIn(answer.body)) {
      throw new GatewayTimeout(`HTTP status ${answer.status}`);
    }
    if (answer.status !== 200) throw refusal(answer);
    const batch = this.target.format.decodeBatch(answer.body);
    this.note(batch);
    return batch;
  }
}
