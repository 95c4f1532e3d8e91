/** WebSocket: frames and commands on one connection. */

import {
  BadRequest,
  CommandError,
  ConnectFailed,
  ConnectionLost,
  Forbidden,
  type TricastError,
  Unauthorized,
} from "../errors.js";
import { Queue } from "../queue.js";
import { queryOf, type Request } from "../session.js";
import { within } from "../time.js";
import type { Command, Failure, Frame } from "../wire/messages.js";
import { type Answer, asError, byteLength, Link, Overflow } from "./base.js";

/** Bytes that wait to be read. A WebSocket cannot be held back, only ended. */
const QUEUE_MAX = 2 ** 20;
const OPEN = 1;

/** By the last digits of the close code; 4001, that the token has expired, is like 4401. */
const REFUSALS = [BadRequest, Unauthorized, CommandError, Forbidden];

export class WebSocketLink extends Link {
  readonly name = "ws";
  override readonly uplink = "stream";
  readonly #queue = new Queue<Frame>(QUEUE_MAX);
  readonly #waiting = new Map<string, (answer: Answer | ConnectionLost) => void>();
  #ws: WebSocket | null = null;
  #refs = 0;
  #complaint: Failure | null = null;

  async *open(request: Request): AsyncGenerator<Frame, never> {
    try {
      const first = await this.connecting(async () => {
        this.#connect(this.url("ws", queryOf(request)), await this.target.token());
        return this.#queue.next();
      });
      if (first.type !== "hello") throw new ConnectFailed(`the first frame is no hello but ${first.type}`);
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

  /** Through the WebSocket, unless that was ended because nobody reads it. */
  override async send(command: Command): Promise<Answer> {
    const ws = this.#ws;
    if (ws?.readyState !== OPEN) {
      if (ws && !this.life.signal.aborted) return this.post(command);
      throw new ConnectFailed("the WebSocket is not open");
    }
    this.#refs += 1;
    const ref = `${this.#refs}`;
    const payload = this.target.format.encode({ ...command, ref });
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(ref, (answer) => (answer instanceof ConnectionLost ? reject(answer) : resolve(answer)));
    });
    try {
      ws.send(payload);
      this.target.traffic.sent += byteLength(payload);
      const late = ({ message }: Error) => new ConnectionLost(message);
      return await within(this.target.sendTimeout, undefined, () => answered, late);
    } finally {
      this.#waiting.delete(ref);
    }
  }

  protected override prod(): void {
    if (this.#ws?.readyState === OPEN) this.#ws.send(this.target.format.encode({ action: "ping" }));
  }

  #connect(url: URL, token = ""): void {
    const { WebSocket: Implementation, headers, format } = this.target;
    if (!Implementation) throw new ConnectFailed("there is no WebSocket here: pass one");
    // The token may have taken its time.
    if (this.life.signal.aborted) throw new ConnectFailed("the link was closed");
    url.protocol = url.protocol.replace("http", "ws");
    // Browsers take no third argument, `ws` for Node takes headers there.
    const make = Implementation as unknown as new (url: string, protocols: string[], more: object) => WebSocket;
    // Not in the URL, where it would end up in logs.
    const protocols = token ? [`tricast.v1.${format.name}`, `tricast.token.${encodeURIComponent(token)}`] : [];
    const ws = new make(`${url}`, protocols, { headers });
    ws.binaryType = "arraybuffer";
    ws.onmessage = ({ data }) => this.#receive(typeof data === "string" ? data : new Uint8Array(data));
    ws.onclose = (event) => this.#end(this.#meaning(event.code, event.reason));
    ws.onerror = () => {}; // a close follows; `ws` throws what nobody listens to
    this.#ws = ws;
  }

  #receive(payload: string | Uint8Array): void {
    const size = byteLength(payload);
    this.target.traffic.received += size;
    try {
      const frame = this.target.format.decode(payload);
      if (frame && this.#take(frame) && !this.#queue.push(frame, size)) {
        this.#end(new Overflow("more has come than was read"));
      }
    } catch (error) {
      this.#end(error as TricastError);
    }
  }

  /** Whether the frame goes on to the session. Answers reach who waits for them here. */
  #take(frame: Frame): boolean {
    this.note(frame);
    if (frame.type === "reply") {
      this.#waiting.get(`${frame.ref}`)?.(frame);
    } else if (frame.type === "error") {
      if (frame.ref === undefined) this.#complaint = frame;
      else this.#waiting.get(frame.ref)?.(asError(frame));
      return false;
    }
    return true;
  }

  #meaning(code: number, reason: string): CommandError | ConnectionLost {
    const complaint = this.#complaint;
    if (code === 4001 || (code >= 4400 && code < 4500)) {
      if (complaint) return asError(complaint);
      return new (REFUSALS[code % 400] ?? CommandError)(`close code ${code} ${reason}`);
    }
    const why = complaint ? `: ${complaint.code}: ${complaint.message}` : "";
    return new ConnectionLost(`close code ${code}${why}`);
  }

  #end(error: TricastError): void {
    this.#queue.end(error);
    for (const answer of this.#waiting.values()) answer(new ConnectionLost("no answer will come"));
    const ws = this.#ws;
    if (!ws) return;
    ws.onmessage = ws.onclose = null;
    ws.close();
  }
}
