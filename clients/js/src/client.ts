/** The face of the bus. */

import { Delivery } from "./delivery.js";
import { Echoes } from "./echoes.js";
import { BusClosed, CommandError, ConnectFailed, ConnectionLost } from "./errors.js";
import { Race } from "./fallback.js";
import { Keeper } from "./keeper.js";
import { followPage } from "./lifecycle.js";
import { Mailbox } from "./mailbox.js";
import { Recall } from "./memory.js";
import { isOnline } from "./online.js";
import { type ConnectOptions, canShare, targetOf, transportsOf } from "./options.js";
import { Outlet } from "./outlet.js";
import { Publication } from "./publish.js";
import { randomName } from "./random.js";
import { type Item, Session } from "./session.js";
import { within } from "./time.js";
import { type Stats, Timeline, type TimelineRecord } from "./timeline.js";
import type { Target } from "./transports/base.js";
import { eventLink } from "./transports/late.js";
import { LongPollLink } from "./transports/longpoll.js";
import { WebSocketLink } from "./transports/websocket.js";
import type { Uplink } from "./uplink.js";
import { topicList } from "./wire/commands.js";
import { INBOX_PREFIX } from "./wire/cursor.js";
import type { Data, Gap, Message, Subscribe, TransportName } from "./wire/messages.js";

const BUFFER = 1000;
/** Seconds. */
const OPEN_TIMEOUT = 15;
const PUBLISH_TIMEOUT = 30;
const ECHO_TIMEOUT = 10;
const CHANGE_TIMEOUT = 30;

/** Seconds; a signal that aborts ends the waiting, with its reason. */
export interface CallOptions {
  timeout?: number;
  signal?: AbortSignal;
}

export interface PublishOptions extends CallOptions {
  event?: string;
  /** 1 to 64 of `A-Za-z0-9_-`: the same one again has no further effect within the server's dedupe window. */
  id?: string;
}

export interface BusEventMap {
  message: CustomEvent<Message>;
  gap: CustomEvent<Gap>;
  /** `null`: none carries for now. */
  transport: CustomEvent<{ transport: TransportName | null; previous: TransportName | null }>;
  uplink: CustomEvent<{ uplink: Uplink }>;
  timeline: CustomEvent<TimelineRecord>;
  /** What ended the bus; a `close` follows. */
  error: CustomEvent<Error>;
  close: CustomEvent<null>;
}

// Spelled so that it means the same with the types of Node and with those of a page.
type Listener = Parameters<EventTarget["addEventListener"]>[1];
type ListenerOptions = Parameters<EventTarget["addEventListener"]>[2];

/**
 * A bus that connects at once. `url`: http, https, ws or wss; in a browser it may be relative to the page.
 *
 * Throws TypeError or BadRequest for what cannot be meant.
 */
export function connect(url: string | URL, options: ConnectOptions = {}): Bus {
  return new Bus(url, options);
}

/**
 * A subscription that survives its connections, and a way to publish.
 *
 * What comes is handed out once and in order, messages and gaps alike: to who iterates; while nobody does, to the
 * listeners of `message` and `gap`, from the first listener of `message` on. Until then it waits, and what waits holds
 * the server back; nothing is dropped. Listeners also hear of what is iterated, at that moment.
 */
export class Bus extends EventTarget implements AsyncIterable<Item>, AsyncDisposable {
  /** When the first transport works. Rejects with ConnectFailed, with what the server refuses, or with BusClosed. */
  readonly opened: Promise<void>;
  readonly #target: Target;
  readonly #session: Session;
  readonly #mailbox: Mailbox;
  readonly #delivery: Delivery;
  readonly #timeline: Timeline;
  readonly #keeper: Keeper;
  // 128 random bits: whoever knows its name can read an inbox.
  readonly #inbox = INBOX_PREFIX + randomName(16);
  readonly #echoes = new Echoes(this.#inbox);
  readonly #outlet: Outlet;
  readonly #life = new AbortController();
  #changing: Promise<unknown> = Promise.resolve();

  constructor(url: string | URL, options: ConnectOptions) {
    super();
    const transports = transportsOf(options);
    this.#target = targetOf(url, options);
    this.#session = new Session([...(options.topics ?? ["lobby"]), this.#inbox], options.cursor, options.last);
    this.#mailbox = new Mailbox(options.buffer ?? BUFFER);
    this.#outlet = new Outlet(this.#mailbox, options.onGap ?? "yield", (item) => this.#tell(item.type, item));
    this.#delivery = new Delivery(this.#mailbox, this.#inbox, (message) => this.#echoes.take(message));
    this.#timeline = new Timeline((record) => this.#tell("timeline", record));
    // What was forced says nothing about what is best.
    const store = transports.length > 1 ? (options.store ?? null) : null;
    this.#keeper = new Keeper({
      session: this.#session,
      mailbox: this.#mailbox,
      delivery: this.#delivery,
      timeline: this.#timeline,
      recall: new Recall(store, this.#target.url.origin),
      inbox: this.#inbox,
      race: () => new Race(transports, options.policy),
      link: linksTo(this.#target, options),
      renews: this.#target.renews,
      isOnline: (timeout) => isOnline(this.#target, timeout),
      tell: (type, detail) => this.#tell(type, detail),
      onEnd: (error) => this.#end(error),
    });
    followPage(this.#keeper, () => isOnline(this.#target, 3), this.#life.signal);
    options.signal?.addEventListener("abort", () => this.close(), { signal: this.#life.signal });
    this.opened = this.#open(options.openTimeout ?? OPEN_TIMEOUT);
    this.opened.catch(() => {}); // whoever does not look at it hears of it by `error`
    if (options.signal?.aborted) this.close();
  }

  async #open(timeout: number): Promise<void> {
    this.#keeper.begin().catch((error) => this.#end(error));
    try {
      const failed = ({ message }: Error) => new ConnectFailed(`${message} at ${this.#target.url}\n${this.#timeline}`);
      await within(timeout, undefined, (signal) => this.#keeper.up(signal), failed);
    } catch (error) {
      this.#end(error as Error);
      throw error;
    }
  }

  /** Ends the connection and all that waits on this bus. Idempotent. */
  async close(): Promise<void> {
    this.#end(new BusClosed("the bus was closed"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(error: Error): void {
    if (this.#life.signal.aborted) return;
    this.#life.abort();
    this.#keeper.end(error);
    this.#echoes.end(error);
    if (!(error instanceof BusClosed)) this.#tell("error", error);
    this.#tell("close", null);
  }

  // Where it is

  /** Of the link that carries; null while none does. */
  get transport(): TransportName | null {
    return this.#keeper.transport;
  }

  /** Whether anything can be sent from here: "blocked" where messages come, but none get out. */
  get uplink(): Uplink {
    return this.#keeper.uplink;
  }

  /** The name that others see as `from`. */
  get client(): string {
    return this.#target.client;
  }

  get topics(): readonly string[] {
    return this.#session.topics.filter((topic) => topic !== this.#inbox);
  }

  /**
   * All that stands up to here was handed out: another bus may go on from it and misses nothing. Null only before the
   * first hello.
   */
  get cursor(): string | null {
    return this.#mailbox.position(this.#session.cursor)?.toString() ?? null;
  }

  /** What was tried and seen, oldest first; at most 1000 records. */
  get timeline(): readonly TimelineRecord[] {
    return [...this.#timeline.records];
  }

  get stats(): Stats {
    const { received, sent } = this.#target.traffic;
    return {
      ...this.#delivery.counts,
      ...this.#keeper.counts,
      duplicatesDropped: this.#session.counts.duplicates,
      bytesReceived: received,
      bytesSent: sent,
    };
  }

  // What it does

  /**
   * Appends a message to a topic, once however often it has to be sent. The cursor where it stands.
   *
   * Rejects with OutcomeUnknown where nobody can tell whether it took effect, else with the server's CommandError;
   * with ConnectFailed or UplinkBlocked where it could not be sent, with BusClosed. Where `signal` aborts, the outcome
   * is unknown.
   */
  async publish(topic: string, data: Data, options: PublishOptions = {}): Promise<string> {
    const [name] = topicList([topic]) as [string];
    const { event, id = randomName(16), timeout = PUBLISH_TIMEOUT, signal } = options;
    const command = { action: "publish", topic: name, data, id, ...(event === undefined ? {} : { event }) } as const;
    return new Publication(this.#keeper, command).carryOut(timeout, signal);
  }

  /**
   * `data`, once it has gone up, through the bus and down again on the transport of now.
   *
   * It comes behind what waits to be read, so someone has to. Rejects with UplinkBlocked where nothing can be sent,
   * another TransportError where it does not come back in time, or the server's CommandError.
   */
  async echo(data: Data, options: CallOptions = {}): Promise<Data> {
    const { timeout = ECHO_TIMEOUT, signal } = options;
    const work = async (life: AbortSignal) => {
      const link = await this.#keeper.sending(life);
      return this.#echoes.send((echo) => this.#keeper.send(link, echo), data, life);
    };
    const back = await within(timeout, signal, work, ({ message }) => new ConnectionLost(message));
    if (back instanceof CommandError) throw back;
    return back as Data;
  }

  /**
   * Resolves when messages of these topics, from a cursor reached meanwhile, are on their way.
   *
   * Rejects with the CommandError that refused them; all is then as before. With ConnectFailed where no transport works
   * for 30 seconds; they are still asked for as soon as one does.
   */
  subscribe(...topics: string[]): Promise<void> {
    return this.#change("subscribe", topics);
  }

  /** No more messages of these topics are taken; those that wait to be read still come. Rejects as `subscribe`. */
  unsubscribe(...topics: string[]): Promise<void> {
    return this.#change("unsubscribe", topics);
  }

  async #change(action: Subscribe["action"], names: string[]): Promise<void> {
    const topics = topicList(names);
    const before = this.#changing;
    const change = within(CHANGE_TIMEOUT, undefined, async (signal) => {
      await before;
      await this.#keeper.changeTopics({ action, topics }, signal);
    });
    this.#changing = change.catch(() => {});
    await change;
  }

  // What comes

  /** Ends when the bus is closed, and throws what the server refused with for good. Leaving it early closes nothing. */
  [Symbol.asyncIterator](): AsyncIterator<Item, undefined> {
    return this.#outlet.iterate();
  }

  override addEventListener<K extends keyof BusEventMap>(
    type: K,
    listener: ((event: BusEventMap[K]) => void) | { handleEvent(event: BusEventMap[K]): void } | null,
    options?: ListenerOptions,
  ): void;
  override addEventListener(type: string, listener: Listener, options?: ListenerOptions): void;
  override addEventListener(type: string, listener: Listener, options?: ListenerOptions): void {
    super.addEventListener(type, listener, options);
    if (type === "message") this.#outlet.listen();
  }

  #tell<K extends keyof BusEventMap>(type: K, detail: BusEventMap[K]["detail"]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function linksTo(target: Target, { sse, share = canShare() }: ConnectOptions) {
  return (name: TransportName) => {
    if (name === "ws") return new WebSocketLink(target);
    return name === "sse" ? eventLink(target, sse === "eventsource", share) : new LongPollLink(target);
  };
}
