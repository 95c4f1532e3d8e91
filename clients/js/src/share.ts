/**
 * One SSE stream for all tabs of an origin, since over HTTP/1.1 a browser opens only six connections to a server.
 *
 * Whoever holds a lock leads: it has the stream, with the topics of all, and tells the others by a BroadcastChannel
 * what comes. When it closes or crashes the lock passes on, and all join the next leader at their cursors. To the rest
 * of the client this is a link like any other.
 */

import { CommandError, ConnectFailed, ConnectionLost, commandError, type TricastError } from "./errors.js";
import { type Ending, Leader, lockOf, type Order, type Word } from "./leader.js";
import { Queue } from "./queue.js";
import { randomName } from "./random.js";
import type { Request } from "./session.js";
import { later } from "./time.js";
import { type Link, Overflow, type Target } from "./transports/base.js";
import { LongPollLink } from "./transports/longpoll.js";
import { EventLink } from "./transports/sse.js";
import { Cursor } from "./wire/cursor.js";
import type { Batch, Frame, Hello } from "./wire/messages.js";

/** Frames that wait to be read. */
const QUEUE_MAX = 2000;
/** Seconds for a leader to answer at all; after that it is taken for stuck. A bit more, so that not all find out at once. */
const HEAR_PATIENCE = 1.5;
const HEAR_SPREAD = 0.5;

/** This tab's part in a group; one of them also leads. */
export class SharedLink extends EventLink {
  readonly #id = randomName(8);
  readonly #link: () => Link;
  readonly #queue = new Queue<Frame | Batch>(QUEUE_MAX);
  /** Aborted once this tab is of the group no more: it gives back its locks, and is deaf to the others. */
  readonly #part = new AbortController();
  #request: Request = { topics: [], cursor: null, last: 0 };
  #channel: BroadcastChannel | null = null;
  #name = "";
  #leader: Leader | null = null;
  #alone: Link | null = null;
  #cursor: Cursor | null = null;
  #sure = false;
  /** What a poll brought before the stream worked; null since it does. */
  #early: Batch[] | null = [];
  /** Who leads, and the number of its last frame; null while not joined. */
  #under: { by: string; seq: number } | null = null;
  #patience: ReturnType<typeof setTimeout> | undefined;

  /** `link` makes one that shares nothing. */
  constructor(target: Target, link: () => Link) {
    super(target);
    this.#link = link;
  }

  async *open(request: Request): AsyncGenerator<Frame | Batch, never> {
    this.remember(request);
    this.#request = request;
    try {
      const first = await this.connecting(async () => {
        await this.#enter();
        return this.#queue.next();
      });
      yield first;
      for (;;) yield await this.listen(this.#queue.next());
    } finally {
      this.close();
    }
  }

  override close(): void {
    if (this.life.signal.aborted) return;
    super.close();
    this.#alone?.close();
    this.#end(new ConnectionLost("the link was closed"));
  }

  async #enter(): Promise<void> {
    this.#name = await groupOf(this.target);
    if (this.#isOut) return;
    this.#cursor = Cursor.parse(this.#request.cursor);
    // Whoever leads can see by it that this tab is still there.
    await new Promise<void>((resolve, reject) => {
      const { signal } = this.#part;
      const hold = () => {
        resolve();
        return aborted(signal);
      };
      navigator.locks.request(lockOf(this.#id), { signal }, hold).catch(reject);
    });
    if (this.#isOut) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    if (this.#cursor) this.#join();
    else await this.#ask();
    this.#stand({ signal: this.#part.signal });
  }

  get #isOut(): boolean {
    return this.#part.signal.aborted;
  }

  // Joining

  #join(): void {
    if (this.#isOut) return;
    this.#under = null;
    this.#await();
    const { topics } = this.#request;
    this.#say({ kind: "join", from: this.#id, topics, cursor: `${this.#cursor}`, sure: this.#sure });
  }

  /** What the cursor has become, by a poll of one's own: the stream of the group is somewhere else. */
  async #ask(): Promise<void> {
    this.#under = null;
    const poll = new LongPollLink(this.target);
    try {
      const cursor = this.#cursor ? `${this.#cursor}` : this.#request.cursor;
      const batch = await poll.once({ ...this.#request, cursor });
      this.#cursor = Cursor.parse(batch.cursor);
      this.#sure = true;
      if (this.#early) this.#early.push(batch);
      else this.#put(batch);
      this.#join();
    } finally {
      poll.close();
    }
  }

  /** For the leader to say that it has heard. */
  #await(): void {
    clearTimeout(this.#patience);
    this.#patience = later(HEAR_PATIENCE + HEAR_SPREAD * Math.random(), () => this.#stand({ steal: true }));
  }

  /** Leads as soon as nobody else does. */
  #stand(options: LockOptions): void {
    const { signal } = this.#part;
    if (signal.aborted || this.#leader) return;
    const lead = async () => {
      if (signal.aborted || this.#leader) return;
      this.#leader = new Leader(this.#id, (order) => this.#order(order), this.#link);
      await aborted(signal);
    };
    navigator.locks.request(this.#name, options, lead).catch(() => {
      // It was given up, or taken away from a leader that did not answer.
      this.#fail(new ConnectionLost("another tab has taken over"));
    });
  }

  /** Whoever waits for the lock leads next, and has all the others join. */
  #quit(): void {
    if (this.#isOut) return;
    clearTimeout(this.#patience);
    this.#leader?.stop();
    this.#leader = null;
    this.#say({ kind: "leave", from: this.#id });
    this.#channel?.close();
    this.#part.abort();
  }

  // Talking

  #say(word: Word): void {
    this.#leader?.hear(word);
    if (!this.#leader) this.#channel?.postMessage(word);
  }

  /** As the leader, to all, and to this tab's own part. */
  #order(order: Order): void {
    if (!this.#isOut) this.#channel?.postMessage(order);
    queueMicrotask(() => this.#hear(order));
  }

  #hear(message: Order | Word): void {
    if (this.#isOut) return;
    if (message.kind === "join" || message.kind === "leave") this.#leader?.hear(message);
    else if (!("to" in message) || message.to.includes(this.#id)) this.#obey(message);
  }

  #obey(order: Order): void {
    if (order.kind === "lead") {
      if (this.#cursor) this.#join();
    } else if (order.kind === "heard") {
      clearTimeout(this.#patience);
    } else if (order.kind === "ask") {
      clearTimeout(this.#patience);
      this.#ask().catch((error) => this.#fail(error));
    } else if (order.kind === "alone") {
      this.#goAlone();
    } else if (order.kind === "joined") {
      this.#under = { by: order.by, seq: order.seq };
      this.#greet(order.hello);
    } else if (order.by === this.#under?.by) {
      if (order.kind === "frame") this.#frame(order.seq, order.frame, this.#under);
      else this.#end(this.#meaning(order.error));
    } else if (order.kind === "end" && !this.#under) {
      this.#end(this.#meaning(order.error));
    }
  }

  // What comes

  #greet(hello: Hello): void {
    this.note(hello);
    const early = this.#early;
    if (!early) return;
    this.#early = null;
    // Without a cursor the poll has said hello, and where the stream begins.
    if (!early[0]?.hello) {
      const { topics, cursor } = this.#request;
      this.#put({ ...hello, topics: [...topics], client: this.target.client, cursor: `${cursor}` });
    }
    for (const batch of early) this.#put(batch);
  }

  #frame(seq: number, frame: Frame, under: { seq: number }): void {
    if (seq !== under.seq + 1) {
      this.#join(); // something was missed
      return;
    }
    under.seq = seq;
    this.note(frame);
    this.#put(frame.type === "gap" ? { ...frame, topics: this.#own(frame.topics) } : frame);
    if (!("cursor" in frame)) return;
    const cursor = Cursor.parse(frame.cursor);
    // Of what comes again for another's sake, this tab has had everything.
    if (cursor && !cursor.isWithin(this.#cursor)) this.#cursor = cursor;
    this.#sure = true;
  }

  #own(topics: string[]): string[] {
    return topics.filter((topic) => this.#request.topics.includes(topic));
  }

  #put(frame: Frame | Batch): void {
    if (!this.#queue.push(frame, 1)) this.#end(new Overflow("more has come than was read"));
  }

  /** With a stream of one's own, as if there were no others. */
  async #goAlone(): Promise<void> {
    this.#quit();
    const link = this.#link();
    this.#alone = link;
    try {
      const cursor = this.#cursor ? `${this.#cursor}` : this.#request.cursor;
      for await (const frame of link.open({ ...this.#request, cursor })) {
        if (frame.type === "hello") {
          this.#greet(frame);
        } else {
          this.note(frame);
          this.#put(frame);
        }
      }
    } catch (error) {
      this.reconnectAfter = link.reconnectAfter;
      this.#end(error as TricastError);
    }
  }

  #meaning({ code, message, retryAfter, reconnectAfter }: Ending): TricastError {
    this.reconnectAfter = reconnectAfter;
    const error = commandError(code, message, retryAfter);
    if (error.constructor !== CommandError) return error;
    return this.#early ? new ConnectFailed(message) : new ConnectionLost(message);
  }

  /** What the group comes to is nothing to a tab that has gone. */
  #fail(error: TricastError): void {
    if (!this.#isOut) this.#end(error);
  }

  #end(error: TricastError): void {
    this.#queue.end(error);
    this.#quit();
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
}

/**
 * Those who would have the same stream but for its topics: not everybody may see the token, so its hash has to do. The
 * format may be another one, since what the leader passes on are frames.
 */
async function groupOf({ url, client, echo, token, headers }: Target): Promise<string> {
  const key = JSON.stringify([url.href, (await token()) ?? null, echo ? null : client, headers]);
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
  return `tricast-${Array.from(new Uint8Array(hash).slice(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
