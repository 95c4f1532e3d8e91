/** A parser of `text/event-stream` (WHATWG HTML, 9.2.6), no I/O. */

/** One dispatched event. `id` is the last id seen so far (the browser's `lastEventId`); `retry` in milliseconds. */
export interface StreamEvent {
  event: string;
  data: string;
  id: string;
  retry: number | null;
}

/** Bytes in, events out; keeps what is not whole yet. `retry` (milliseconds) and `lastId` are the stream's own. */
export class Parser {
  lastId = "";
  retry: number | null = null;
  readonly #limit: number;
  readonly #utf8 = new TextDecoder();
  #rest = "";
  #id: string | null = null;
  #event = "";
  #data: string[] = [];
  #size = 0;

  /** `limit`: the most characters that one event may hold. */
  constructor(limit = 4 * 2 ** 20) {
    this.#limit = limit;
  }

  /** The events that `chunk` completes. Throws RangeError where one is longer than the limit. */
  feed(chunk: Uint8Array): StreamEvent[] {
    const text = this.#rest + this.#utf8.decode(chunk, { stream: true });
    // A CR at the end may be the first half of a CRLF.
    const held = text.endsWith("\r") ? "\r" : "";
    const lines = text.slice(0, text.length - held.length).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() + held;
    if (this.#rest.length + this.#size > this.#limit) throw new RangeError("an event is too long");
    const events: StreamEvent[] = [];
    for (const line of lines) {
      if (line) this.#line(line);
      else this.#dispatch(events);
    }
    return events;
  }

  #line(line: string): void {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === "event") {
      this.#event = value;
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    } else if (field === "retry" && /^[0-9]+$/.test(value)) {
      this.retry = Number(value);
    }
  }

  #dispatch(events: StreamEvent[]): void {
    this.lastId = this.#id ?? this.lastId;
    if (this.#data.length) {
      events.push({
        event: this.#event || "message",
        data: this.#data.join("\n"),
        id: this.lastId,
        retry: this.retry,
      });
    }
    this.#data = [];
    this.#event = "";
    this.#id = null;
    this.#size = 0;
  }
}
