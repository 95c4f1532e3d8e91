/** One link from its opening to its end: reads it, holds what it brings until it carries, and proves it by an echo. */

import { Echoes } from "./echoes.js";
import { CommandError, TransportError } from "./errors.js";
import type { Mailbox } from "./mailbox.js";
import { parts, type Session, type Stream } from "./session.js";
import { later, now, Pulse, within } from "./time.js";
import type { Answer, Link } from "./transports/base.js";
import { Cursor } from "./wire/cursor.js";
import type { Batch, Command, Data, Frame, TransportName } from "./wire/messages.js";

/** Frames that wait for a link to be chosen. */
const HELD_MAX = 2000;
/** A link that ends after so many heartbeats of silence has stalled. */
const STALL = 1.5;
/** Seconds that a link which is replaced may take to answer the commands that are on their way. */
const LINGER = 2;

/** Who decides about links. None of these waits or throws, but `take`. One that is retired tells nothing. */
export interface Owner {
  /** The first frame has come. */
  greeted(runner: Runner): void;
  /** An echo has come back, or else (null) the server's word. */
  proven(runner: Runner, rtt: number | null): void;
  unproven(runner: Runner, why: string): void;
  /** More waits than can be held. Whether to go on, once there is room. */
  overtaken(runner: Runner): boolean;
  ended(runner: Runner, error: unknown): void;
  /** A frame of the link that carries. Throws TricastError where the link is no good any more. */
  take(runner: Runner, part: Frame): void;
}

/**
 * `run` once; closing it is `cancel`, or `retire` while commands are on their way.
 *
 * While not `carrying`, frames are held, except for the hello, which tells the session where the stream begins.
 */
export class Runner {
  readonly stream: Stream;
  carrying = false;
  gapped = false;
  /** The server has said bye. */
  parting = false;
  readonly #session: Session;
  readonly #mailbox: Mailbox;
  readonly #inbox: string;
  readonly #owner: Owner;
  readonly #pulse = new Pulse();
  readonly #echoes: Echoes;
  #greetedAt: number | null = null;
  #heardAt = now();
  #held: Frame[] = [];
  #flooded = false;
  #busy = 0;
  #retired = false;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly link: Link,
    session: Session,
    mailbox: Mailbox,
    inbox: string,
    owner: Owner,
  ) {
    this.stream = session.open();
    this.#session = session;
    this.#mailbox = mailbox;
    this.#inbox = inbox;
    this.#echoes = new Echoes(inbox);
    this.#owner = owner;
  }

  get name(): TransportName {
    return this.link.name;
  }

  /** It has been silent for so long that it was, or would soon be, given up. */
  get stalled(): boolean {
    return now() - this.#heardAt >= STALL * this.link.heartbeat;
  }

  /** Seconds since its first frame; 0 before that. */
  get age(): number {
    return this.#greetedAt === null ? 0 : now() - this.#greetedAt;
  }

  /** Tells the owner how it ended, unless it was cancelled. Never rejects. */
  async run(): Promise<void> {
    let end: unknown;
    try {
      for await (const frame of this.link.open(this.stream.request)) await this.#receive(frame);
    } catch (error) {
      end = error;
    }
    this.link.close();
    if (!this.#retired) this.#owner.ended(this, end);
  }

  /** Ends the connection. */
  cancel(): void {
    this.#retired = true;
    this.carrying = false;
    clearTimeout(this.#linger);
    this.link.close();
    this.#pulse.notify();
  }

  /** `cancel`, once the commands on their way are answered; soon in any case. */
  retire(): void {
    // Nobody asks for it any more, and to sift it for each frame to come would be work in vain.
    this.#held = [];
    if (!this.#busy) {
      this.cancel();
      return;
    }
    this.#retired = true;
    this.carrying = false;
    this.#pulse.notify();
    this.#linger = later(LINGER, () => this.cancel());
  }

  /** As `Link.send`; `apart` from the stream as `Link.post`. */
  async send(command: Command, apart: boolean): Promise<Answer> {
    this.#busy += 1;
    try {
      return await (apart ? this.link.post(command) : this.link.send(command));
    } finally {
      this.#busy -= 1;
      if (this.#retired && !this.#busy) this.cancel();
    }
  }

  // Reading

  async #receive(frame: Frame | Batch): Promise<void> {
    this.#heardAt = now();
    for (const part of frame.type === "batch" ? parts(frame) : [frame]) this.#part(part);
    if (this.#greetedAt === null) {
      this.#greetedAt = this.#heardAt;
      if (!this.#retired) this.#owner.greeted(this);
    }
    if (this.carrying && this.#mailbox.held) await this.#mailbox.room();
    else if (!this.carrying && this.#held.length >= HELD_MAX) await this.#makeRoom();
    this.#heardAt = now();
  }

  #part(part: Frame): void {
    if (this.#retired) return;
    if (part.type === "bye") this.parting = true;
    if (part.type === "message" && part.topic === this.#inbox) this.#echoes.take(part);
    if (this.carrying) {
      this.#owner.take(this, part);
      return;
    }
    if (part.type === "hello") this.stream.receive(part);
    this.#held.push(part);
    if (part.type === "gap" && part.topics.some((topic) => topic !== this.#inbox)) this.gapped = true;
  }

  async #makeRoom(): Promise<void> {
    // What the session has meanwhile is not needed again.
    this.#held = this.#held.filter((part) => !this.#isOld(part));
    if (this.#held.length < HELD_MAX) return;
    this.#flooded = true;
    if (!this.#retired && this.#owner.overtaken(this)) await this.#pulse.until(() => this.carrying || this.#retired);
  }

  #isOld(part: Frame): boolean {
    const passes = part.type === "message" || part.type === "heartbeat";
    return passes && !!Cursor.parse(part.cursor)?.isWithin(this.#session.cursor);
  }

  /** From now on frames go to the owner; those that were held, in order. */
  carry(): Frame[] {
    const held = this.#held;
    this.#held = [];
    this.carrying = true;
    this.#flooded = false;
    this.#pulse.notify();
    return held;
  }

  // Proving

  /**
   * An echo up and down again within `timeout` seconds, and the owner is told. `throughBus`: it comes behind all that
   * was published before it, so the stream has caught up by then. Not so where the reader of the stream has to wait.
   * Rejects for defects only.
   */
  async prove(throughBus: boolean, timeout: number): Promise<void> {
    const start = now();
    let byStream = false;
    try {
      const through = throughBus || this.link.uplink === "http";
      byStream = await within(timeout, undefined, (signal) => this.#echo(through, signal));
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (this.#retired) return;
      if (!(await this.#reaches(timeout))) {
        if (!this.#retired) this.#owner.unproven(this, error.message);
        return;
      }
    }
    if (!this.#retired) this.#owner.proven(this, byStream ? now() - start : null);
  }

  /** Whether an echo came; if not, the server has answered otherwise. Rejects with TransportError. */
  async #echo(throughBus: boolean, signal: AbortSignal): Promise<boolean> {
    if (!throughBus) return !isRefusal(await this.link.send({ action: "echo", data: null }));
    return !isRefusal(await this.#echoes.send((echo) => this.link.send(echo), null, signal));
  }

  /** Whether the server can be reached beside a stream that nobody reads for now. */
  async #reaches(timeout: number): Promise<boolean> {
    if (!this.#flooded && !(this.carrying && this.#mailbox.held)) return false;
    try {
      await within(timeout, undefined, () => this.link.post({ action: "echo", data: null }));
      return true;
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return false;
    }
  }
}

/** A refusal proves the way up as well as a reply does, also one for now: it is the server's own. */
function isRefusal(answer: Answer | Data): boolean {
  return answer instanceof CommandError;
}
