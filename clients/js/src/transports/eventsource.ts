/** Server-Sent Events by the browser's own EventSource: without headers, and blind to what is wrong. */

import { ConnectFailed, ConnectionLost, type TricastError } from "../errors.js";
import { Queue } from "../queue.js";
import { queryOf, type Request } from "../session.js";
import type { Frame } from "../wire/messages.js";
import { asError, byteLength, Overflow } from "./base.js";
import { EventLink } from "./sse.js";

/** Bytes that wait to be read: an EventSource cannot be held back, only ended. */
const QUEUE_MAX = 2 ** 20;
const EVENTS = ["message", "hello", "gap", "heartbeat", "failure", "bye"];

export class EventSourceLink extends EventLink {
  readonly #queue = new Queue<Frame>(QUEUE_MAX);
  #source: EventSource | null = null;

  async *open(request: Request): AsyncGenerator<Frame, never> {
    this.remember(request);
    try {
      const first = await this.connecting(async () => {
        const token = await this.target.token();
        this.#connect(this.url("sse", { ...queryOf(request), ...(token === undefined ? {} : { token }) }));
        return this.#queue.next();
      });
      this.greeted(first);
      yield first;
      for (;;) yield await this.listen(this.#queue.next());
    } finally {
      this.close();
    }
  }

  override close(): void {
    super.close();
    this.#end(new ConnectionLost("the link was closed"));
  }

  #connect(url: URL): void {
    if (!this.target.EventSource) throw new ConnectFailed("there is no EventSource here; pass one as an option");
    // The token may have taken its time.
    if (this.life.signal.aborted) throw new ConnectFailed("the link was closed");
    const source = new this.target.EventSource(`${url}`);
    this.#source = source;
    for (const name of EVENTS) source.addEventListener(name, (event) => this.#receive((event as MessageEvent).data));
    // Its own reconnecting would go on from an id of which the session knows nothing.
    source.onerror = () => this.#end(new ConnectionLost("the event stream ended"));
  }

  #receive(text: string): void {
    const size = byteLength(text);
    this.target.traffic.received += size;
    try {
      const frame = this.target.format.decode(text);
      if (!frame) return;
      this.note(frame);
      if (frame.type === "error") throw asError(frame);
      if (!this.#queue.push(frame, size)) this.#end(new Overflow("more has come than was read"));
    } catch (error) {
      this.#end(error as TricastError);
    }
  }

  #end(error: TricastError): void {
    this.#queue.end(error);
    this.#source?.close();
  }
}
