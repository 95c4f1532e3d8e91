/** Echoes of the user's own data, up, through the bus and down again. They share the client's inbox. */

import { BusClosed, CommandError, ConnectionLost } from "./errors.js";
import type { Keeper } from "./keeper.js";
import { randomName } from "./random.js";
import { ECHO_EVENT } from "./runner.js";
import { Pulse, TimeIsUp, within } from "./time.js";
import { base64Of, bytesOf, isObject } from "./wire/json.js";
import type { Data, Message } from "./wire/messages.js";

export class Echoes {
  readonly #inbox: string;
  readonly #pulse = new Pulse();
  /** By what tells them apart; undefined while on the way. */
  readonly #echoes = new Map<string, Data | undefined>();
  #over = false;

  constructor(inbox: string) {
    this.#inbox = inbox;
  }

  /**
   * `data`, once it is back. Rejects with UplinkBlocked where nothing can be sent, another TransportError where it does
   * not come back within `timeout` seconds, the server's CommandError, BusClosed, or the signal's reason.
   */
  async send(keeper: Keeper, data: Data, timeout: number, signal?: AbortSignal): Promise<Data> {
    const nonce = randomName(8);
    this.#echoes.set(nonce, undefined);
    const envelope = data instanceof Uint8Array ? { echo: nonce, data_b64: base64Of(data) } : { echo: nonce, data };
    try {
      return await within(timeout, signal, async (life) => {
        const link = await keeper.sending(life);
        const answer = await keeper.send(link, { action: "echo", data: envelope, reply_to: this.#inbox });
        if (answer instanceof CommandError) throw answer;
        await this.#pulse.until(() => this.#over || this.#echoes.get(nonce) !== undefined, life);
        const echo = this.#echoes.get(nonce);
        if (echo === undefined) throw new BusClosed("the bus was closed");
        return echo;
      });
    } catch (error) {
      throw error instanceof TimeIsUp ? new ConnectionLost(`no echo came back within ${timeout} s`) : error;
    } finally {
      this.#echoes.delete(nonce);
    }
  }

  /** A message of the inbox has come. */
  take({ event, data }: Message): void {
    if (event !== ECHO_EVENT || !isObject(data) || !this.#echoes.has(`${data.echo}`)) return;
    const echoed = data.data_b64 === undefined ? (data.data ?? null) : bytesOf(data.data_b64);
    this.#echoes.set(`${data.echo}`, echoed);
    this.#pulse.notify();
  }

  /** None will come any more. */
  end(): void {
    this.#over = true;
    this.#pulse.notify();
  }
}
