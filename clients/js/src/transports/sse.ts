/** Server-Sent Events down, `POST /send` up. */

import { ConnectFailed, ConnectionLost, ProtocolError, TricastError } from "../errors.js";
import { queryOf, type Request } from "../session.js";
import type { Frame } from "../wire/messages.js";
import { Parser } from "../wire/sse.js";
import { answerOf, asError, asOurs, inboxOf, Link, refusal } from "./base.js";

/** A link whose stream goes by HTTP: it is prodded by an echo into its own inbox. */
export abstract class EventLink extends Link {
  readonly name = "sse";
  #inbox: string | undefined;

  /** To be called with what is asked for. */
  protected remember(request: Request): void {
    this.#inbox = inboxOf(request);
  }

  protected override prod(): void {
    if (this.#inbox === undefined) return;
    // If it fails, the silence goes on.
    this.post({ action: "echo", data: null, reply_to: this.#inbox }).catch(() => {});
  }

  protected greeted(frame: Frame | undefined): void {
    if (frame?.type !== "hello") throw new ConnectFailed(`the first frame is no hello but ${frame?.type}`);
  }
}

/** Over fetch: its stream can be held back, and what is wrong with an answer can be seen. */
export class SSELink extends EventLink {
  readonly #parser = new Parser();

  async *open(request: Request): AsyncGenerator<Frame, never> {
    this.remember(request);
    try {
      const { reader, frames } = await this.connecting(() => this.#connect(request));
      this.greeted(frames[0]);
      yield* frames;
      for (;;) yield* await this.listen(this.#read(reader));
    } finally {
      this.close();
    }
  }

  async #connect(request: Request) {
    const init = { headers: { Accept: "text/event-stream" }, signal: this.life.signal };
    const response = await this.fetch("sse", queryOf(request), init);
    const { status, headers, body } = response;
    if (status !== 200) throw refusal(await answerOf(response));
    const type = headers.get("Content-Type") ?? "";
    if (!body || !type.startsWith("text/event-stream")) {
      throw new ConnectFailed(`${type} is no event stream`);
    }
    const reader = body.getReader();
    let frames: Frame[] = [];
    while (!frames.length) frames = await this.#read(reader);
    return { reader, frames };
  }

  /** What the next bytes complete; maybe nothing yet. Throws ConnectionLost at the end of the stream. */
  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Frame[]> {
    const { value } = await asOurs(ConnectionLost, reader.read());
    if (!value) {
      this.reconnectAfter ??= this.#retry;
      throw new ConnectionLost("the event stream ended");
    }
    this.target.traffic.received += value.length;
    try {
      const frames = this.#parser.feed(value).map((event) => this.target.format.decode(event.data));
      const known = frames.filter((frame) => frame !== null);
      for (const frame of known) {
        // A refusal that passes comes as an event, since browsers never come back after another status.
        if (frame.type === "error") throw asError(frame, this.#retry);
        this.note(frame);
      }
      return known;
    } catch (error) {
      throw error instanceof TricastError ? error : new ProtocolError((error as Error).message);
    }
  }

  get #retry(): number | null {
    const { retry } = this.#parser;
    return retry === null ? null : retry / 1000;
  }
}
