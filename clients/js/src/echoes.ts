/** Echoes through the bus into the client's own inbox. */

import { CommandError } from "./errors.js";
import { randomName } from "./random.js";
import { Pulse } from "./time.js";
import type { Answer } from "./transports/base.js";
import { base64Of, bytesOf, isObject } from "./wire/json.js";
import type { Data, Echo, Message } from "./wire/messages.js";

export class Echoes {
  readonly #inbox: string;
  readonly #pulse = new Pulse();
  /** By what tells them apart; undefined while on the way. */
  readonly #echoes = new Map<string, Data | undefined>();
  #end: Error | null = null;

  constructor(inbox: string) {
    this.#inbox = inbox;
  }

  /**
   * `data`, once it is back, or the error with which the server has answered. Rejects with what `send` rejects with, and
   * with the signal's reason.
   */
  async send(send: (echo: Echo) => Promise<Answer>, data: Data, signal: AbortSignal): Promise<Data | CommandError> {
    const echo = randomName(8);
    const envelope = data instanceof Uint8Array ? { echo, data_b64: base64Of(data) } : { echo, data };
    this.#echoes.set(echo, undefined);
    try {
      const answer = await send({ action: "echo", data: envelope, reply_to: this.#inbox });
      if (answer instanceof CommandError) return answer;
      await this.#pulse.until(() => {
        if (this.#end) throw this.#end;
        return this.#echoes.get(echo) !== undefined;
      }, signal);
      return this.#echoes.get(echo) as Data;
    } finally {
      this.#echoes.delete(echo);
    }
  }

  /** A message of the inbox has come. */
  take({ data }: Message): void {
    if (!isObject(data) || !this.#echoes.has(`${data.echo}`)) return;
    this.#echoes.set(`${data.echo}`, "data_b64" in data ? bytesOf(data.data_b64) : (data.data ?? null));
    this.#pulse.notify();
  }

  /** None will come any more. */
  end(error: Error): void {
    this.#end = error;
    this.#pulse.notify();
  }
}
