/** The tab that holds the one SSE stream of a group, and tells the others what comes. */

import { CommandError, ConnectFailed, type TricastError } from "./errors.js";
import type { Request } from "./session.js";
import { later } from "./time.js";
import type { Link } from "./transports/base.js";
import { Cursor } from "./wire/cursor.js";
import type { Batch, Frame, Hello } from "./wire/messages.js";

/** Seconds in which those who want to join are collected, since each change opens the stream anew. */
const COLLECT = 0.05;
/** Characters of topics beyond which a URL may be too long for some proxy. */
const TOPICS_MAX = 4000;

/** What members tell their leader. `sure`: the cursor was the server's own word, so it need not be asked again. */
export type Word =
  | { kind: "join"; from: string; topics: readonly string[]; cursor: string; sure: boolean }
  | { kind: "leave"; from: string };

/** What a leader tells its members: all, or those that are named. */
export type Order =
  | { kind: "lead"; by: string }
  | { kind: "heard"; by: string; to: string[] }
  | { kind: "ask"; by: string; to: string[] } // the server yourself, what has become of your cursor
  | { kind: "alone"; by: string; to: string[] } // you will have to go
  | { kind: "joined"; by: string; to: string[]; seq: number; hello: Hello }
  | { kind: "frame"; by: string; seq: number; frame: Frame }
  | { kind: "end"; by: string; error: Ending };

export interface Ending {
  code: string;
  message: string;
  /** Seconds. */
  retryAfter: number | null;
  /** Seconds. */
  reconnectAfter: number | null;
}

/** The lock that a member holds as long as it lives: a tab that is killed says nothing. */
export function lockOf(id: string): string {
  return `tricast-member-${id}`;
}

interface Member {
  topics: readonly string[];
  cursor: Cursor;
  joined: boolean;
}

/**
 * Every member that has joined has all that stands up to the stream's cursor; whoever comes with a lower one, or with
 * other topics, has the stream opened anew for all. What comes twice by that is dropped by each member's session.
 */
export class Leader {
  readonly #id: string;
  readonly #tell: (order: Order) => void;
  readonly #link: () => Link;
  readonly #members = new Map<string, Member>();
  #current: Link | null = null;
  #next: Link | null = null;
  #cursor: Cursor | null = null;
  #seq = 0;
  #planned = false;
  #over = false;

  /** `tell` also reaches the leader's own membership. */
  constructor(id: string, tell: (order: Order) => void, link: () => Link) {
    this.#id = id;
    this.#tell = tell;
    this.#link = link;
    tell({ kind: "lead", by: id });
  }

  hear(word: Word): void {
    if (this.#over) return;
    if (word.kind === "leave") this.#members.delete(word.from);
    else this.#join(word);
  }

  /** Idempotent. The others will find that nobody leads. */
  stop(): void {
    this.#over = true;
    this.#next?.close();
    this.#current?.close();
  }

  #join({ from, topics, cursor: text, sure }: Extract<Word, { kind: "join" }>): void {
    const to = [from];
    const cursor = Cursor.parse(text);
    const now = this.#cursor;
    this.#members.delete(from);
    if (!cursor || (now && cursor.epoch !== now.epoch) || (now && !sure && !cursor.isWithin(now))) {
      this.#tell({ kind: "ask", by: this.#id, to });
      return;
    }
    this.#tell({ kind: "heard", by: this.#id, to });
    this.#members.set(from, { topics, cursor, joined: false });
    this.#plan();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    later(COLLECT, () => {
      this.#admit().finally(() => {
        this.#planned = false;
        if (!this.#over && this.#waiting().length) this.#plan();
      });
    });
  }

  #waiting(): [string, Member][] {
    return [...this.#members].filter(([, member]) => !member.joined);
  }

  /** Opens the stream so that it has what those who wait need. Never rejects. */
  async #admit(): Promise<void> {
    await this.#forgetDead();
    const fresh = this.#waiting();
    const [first] = fresh;
    if (this.#over || !first) return;
    const to = fresh.map(([id]) => id);
    const epoch = (this.#cursor ?? first[1].cursor).epoch;
    const strangers = fresh.filter(([, { cursor }]) => cursor.epoch !== epoch).map(([id]) => id);
    if (strangers.length) {
      for (const id of strangers) this.#members.delete(id);
      this.#tell({ kind: "ask", by: this.#id, to: strangers });
      return;
    }
    const request = this.#request(fresh);
    if (this.#current && request.topics.join().length > TOPICS_MAX) {
      this.#sendAway(to);
      return;
    }
    const link = this.#link();
    this.#next = link;
    try {
      const frames = link.open(request);
      const { value: hello } = await frames.next();
      if (this.#over) throw new ConnectFailed("the tab was closed");
      if (hello.type !== "hello") throw new ConnectFailed("no hello came");
      this.#current?.close();
      this.#current = link;
      this.#cursor = Cursor.parse(request.cursor);
      for (const [, member] of fresh) member.joined = true;
      this.#tell({ kind: "joined", by: this.#id, to, seq: this.#seq, hello });
      this.#pump(link, frames);
    } catch (error) {
      if (this.#over) return;
      // What one of them asks for may be what was refused: each has to see that by itself.
      if (this.#current || (error instanceof CommandError && !error.retryable)) this.#sendAway(to);
      else this.#end(link, error as TricastError);
    }
  }

  async #forgetDead(): Promise<void> {
    const known = [...this.#members.keys()];
    const { held = [] } = await navigator.locks.query().catch((): LockManagerSnapshot => ({}));
    const alive = new Set(held.map((lock) => lock.name));
    // Where it could not be asked, nobody is dead.
    if (alive.size) for (const id of known) if (!alive.has(lockOf(id))) this.#members.delete(id);
  }

  /** All topics, from the lowest cursor. */
  #request(fresh: [string, Member][]): Request {
    const topics = new Set([...this.#members.values()].flatMap((member) => member.topics));
    const cursors = fresh.map(([, member]) => member.cursor);
    if (this.#cursor) cursors.push(this.#cursor);
    const lowest = cursors.reduce((a, b) => (b.isWithin(a) ? b : a));
    return { topics: [...topics], cursor: `${lowest}`, last: 0 };
  }

  #sendAway(to: string[]): void {
    for (const id of to) this.#members.delete(id);
    this.#tell({ kind: "alone", by: this.#id, to });
  }

  async #pump(link: Link, frames: AsyncGenerator<Frame | Batch, never>): Promise<void> {
    try {
      for await (const frame of frames) {
        if (link !== this.#current || this.#over) return;
        if (frame.type === "batch") continue;
        if ("cursor" in frame) this.#cursor = Cursor.parse(frame.cursor) ?? this.#cursor;
        this.#seq += 1;
        this.#tell({ kind: "frame", by: this.#id, seq: this.#seq, frame });
      }
    } catch (error) {
      if (link === this.#current) this.#end(link, error as TricastError);
    }
  }

  #end(link: Link, error: TricastError): void {
    if (this.#over) return;
    const { code, message } = error;
    const retryAfter = error instanceof CommandError ? error.retryAfter : null;
    const ending = { code, message, retryAfter, reconnectAfter: link.reconnectAfter };
    this.#tell({ kind: "end", by: this.#id, error: ending });
    this.stop();
  }
}
