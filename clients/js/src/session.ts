/**
 * What a client knows of its subscription, whatever carries it: cursor, topics, duplicates, gaps. No I/O, no clock.
 *
 * A `Session` lives as long as the client. Each connection that is opened for it is a `Stream`: it says what to ask
 * the server for, takes the frames that come, and returns what is to be delivered. Streams may overlap (the next one
 * is opened before the last one ends): their frames go through the one session, which delivers every message once.
 */

import { ProtocolError } from "./errors.js";
import { topicList } from "./wire/commands.js";
import { Cursor } from "./wire/cursor.js";
import type { Batch, Frame, Gap, Message } from "./wire/messages.js";

/** What to ask a server for. `cursor` null: from now on, or from `last` messages of each topic before that. */
export interface Request {
  readonly topics: readonly string[];
  readonly cursor: string | null;
  readonly last: number;
}

/** The query parameters that say so, the same on every transport. */
export function queryOf({ topics, cursor, last }: Request): Record<string, string> {
  const query: Record<string, string> = { topics: topics.join(",") };
  if (cursor !== null) query.cursor = cursor;
  else if (last) query.last = String(last);
  return query;
}

export type Item = Message | Gap;

/**
 * `cursor` is where a new stream goes on: all that stands up to it was delivered, or reported as lost.
 *
 * `cursor` as an argument is where to begin: a cursor, "earliest", or null for now. What is no cursor is sent as it
 * is, and the server answers with a gap. `last` counts only without a cursor. Throws BadRequest for what is no topic.
 */
export class Session {
  cursor: Cursor | null;
  /** `strays`: frames of an epoch that was left, or of a stream that was ahead of the session. */
  readonly counts = { received: 0, duplicates: 0, strays: 0, gaps: 0 };
  /** Changes with the topics. */
  version = 0;

  // For its streams: topics that some stream has brought, so that all must; how often the cursor was set anew; the
  // cursor of the last gap.
  readonly established = new Set<string>();
  turn = 0;
  told: Cursor | null = null;

  readonly #begin: Request;
  #topics: Set<string>;

  constructor(topics: readonly string[], cursor: string | null = null, last = 0) {
    this.cursor = Cursor.parse(cursor);
    this.#begin = { topics: [], cursor, last };
    this.#topics = new Set(topicList(topics));
  }

  get topics(): string[] {
    return [...this.#topics];
  }

  /** What a stream that is opened now asks for. */
  get request(): Request {
    const { topics, cursor } = this;
    return { ...this.#begin, topics, ...(cursor ? { cursor: `${cursor}` } : {}) };
  }

  /** A new stream. It needs no closing: one that gets no frames changes nothing. */
  open(): Stream {
    return new Stream(this);
  }

  /** From here on these are asked for; they begin where the server (or the next stream) says that it has them. */
  subscribe(topics: readonly string[]): void {
    this.#setTopics([...this.#topics, ...topicList(topics)]);
  }

  /** From here on messages of these are not delivered, wherever they are on their way. */
  unsubscribe(topics: readonly string[]): void {
    this.#setTopics(this.topics.filter((topic) => !topics.includes(topic)));
    for (const topic of topics) this.established.delete(topic);
  }

  #setTopics(names: string[]): void {
    const topics = new Set(names);
    if (topics.size !== this.#topics.size) this.version += 1;
    this.#topics = topics;
  }

  // For its streams

  establish(topics: Iterable<string>): void {
    for (const topic of topics) if (this.#topics.has(topic)) this.established.add(topic);
  }

  /** An item of these topics, if any of them is still wanted. */
  deliver(item: Item, topics: string[], count: "received" | "gaps"): Item[] {
    if (!topics.some((topic) => this.#topics.has(topic))) return [];
    this.counts[count] += 1;
    return [item];
  }

  /** What came again. */
  drop(): Item[] {
    this.counts.duplicates += 1;
    return [];
  }

  /** Whether the cursor moved: it never goes back within an epoch, and this never leaves one. */
  forward(cursor: Cursor): boolean {
    const now = this.cursor;
    if (now?.epoch !== cursor.epoch || now.offset >= cursor.offset) return false;
    this.cursor = cursor;
    return true;
  }

  /** A first cursor, a change of epoch, or the server's word that the cursor never was: this may move it back. */
  enter(cursor: Cursor): number {
    this.cursor = cursor;
    this.turn += 1;
    return this.turn;
  }
}

/** One connection's side of a session. `request` is what to ask for, at the `version` of the session's topics. */
export class Stream {
  readonly request: Request;
  version: number;
  readonly #session: Session;
  #topics: Set<string>;
  #newTopics = true;
  #turn: number;
  // All that stands after `#start` comes on this stream; null until its hello says where that is.
  #start: Cursor | null;
  #at: Cursor | null = null;

  constructor(session: Session) {
    this.request = session.request;
    this.version = session.version;
    this.#session = session;
    this.#topics = new Set(this.request.topics);
    this.#turn = session.turn;
    this.#start = session.cursor;
  }

  /**
   * Whether the session goes by this stream: nothing that the session still lacks can be missing from it.
   *
   * Not so where it begins past the session's cursor, lacks one of its topics or is in another epoch. Its frames are
   * then dropped until that is over. One that is alone and not joined has to be opened anew.
   */
  get joined(): boolean {
    const { cursor, established } = this.#session;
    return !!this.#start?.isWithin(cursor) && [...established].every((topic) => this.#topics.has(topic));
  }

  /**
   * What to deliver for a frame, in order. Throws ProtocolError, and then nothing has changed.
   *
   * A batch of several frames may have been taken in part; what it brought so far is then not delivered, so feed the
   * `parts` of a batch one by one where that matters.
   */
  receive(frame: Frame | Batch): Item[] {
    const { type } = frame;
    if (type === "batch") return parts(frame).flatMap((part) => this.receive(part));
    const text = "cursor" in frame && (type !== "reply" || /^(un)?subscribe$/.test(frame.action)) && frame.cursor;
    if (typeof text !== "string") return [];
    const cursor = Cursor.parse(text);
    if (!cursor) throw new ProtocolError(`the server sent what is no cursor: ${text.slice(0, 80)}`);
    if (type === "hello") return this.#hello(cursor);
    if (!this.#start) throw new ProtocolError("the first frame is no hello");
    if (type === "message") return this.#message(frame, cursor);
    if (type === "gap") return frame.reason === "epoch" ? this.#epoch(frame, cursor) : this.#gap(frame, cursor);
    this.#advance(cursor);
    if (type === "reply" && frame.topics) this.#setTopics(frame.topics, cursor);
    return [];
  }

  #hello(cursor: Cursor): Item[] {
    if (!this.#start) {
      this.#start = cursor;
      if (!this.#session.cursor) this.#turn = this.#session.enter(cursor);
    }
    this.#joins();
    return [];
  }

  #message(message: Message, cursor: Cursor): Item[] {
    const session = this.#session;
    this.#at = cursor;
    if (!this.#isCurrent(cursor)) return [];
    return session.forward(cursor) ? session.deliver(message, [message.topic], "received") : session.drop();
  }

  #gap(gap: Gap, cursor: Cursor): Item[] {
    const session = this.#session;
    if (!this.#isCurrent(cursor)) return [];
    // A loss may stand beside the message of its offset, and then comes second.
    const beside = cursor.equals(session.cursor) && cursor.equals(this.#at) && !cursor.equals(session.told);
    if (!session.forward(cursor) && !beside) return session.drop();
    session.told = cursor;
    return session.deliver(gap, gap.topics, "gaps");
  }

  #epoch(gap: Gap, cursor: Cursor): Item[] {
    const session = this.#session;
    this.#start = cursor;
    // Another stream has moved the session meanwhile, and has told of this change, or is ahead of it, or will tell of
    // it yet. Until the session is where this one is now, it is not joined.
    if (this.#turn !== session.turn) return [];
    this.#turn = session.enter(cursor);
    return session.deliver(gap, gap.topics, "gaps");
  }

  /** These are all that the stream has from `cursor` on. */
  #setTopics(topics: string[], cursor: Cursor): void {
    if (!topics.every((topic) => this.#topics.has(topic))) {
      this.#start = cursor;
      this.#newTopics = true;
    }
    this.#topics = new Set(topics);
    this.#joins();
  }

  /** `joined`; from then on no other stream may do with less than this one's topics. */
  #joins(): boolean {
    if (!this.joined) return false;
    this.#turn = this.#session.turn;
    if (this.#newTopics) {
      this.#newTopics = false;
      this.#session.establish(this.#topics);
    }
    return true;
  }

  #isCurrent(cursor: Cursor): boolean {
    const current = this.#joins() && cursor.epoch === this.#session.cursor?.epoch;
    if (!current) this.#session.counts.strays += 1;
    return current;
  }

  #advance(cursor: Cursor): void {
    if (this.#joins()) this.#session.forward(cursor);
  }
}

/** A poll's answer as the frames that another transport would have sent for it. */
export function parts(batch: Batch): Frame[] {
  const { hello, frames, cursor, bye } = batch;
  return [...(hello ? [hello] : []), ...frames, { type: "heartbeat", cursor }, ...(bye ? [bye] : [])];
}
