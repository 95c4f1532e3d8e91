/** Keeps a subscription carried: does what the race decides, and tells it what happened. */

import type { Action, Step } from "./actions.js";
import type { BusEventMap } from "./client.js";
import { Complaints } from "./complaints.js";
import type { Delivery } from "./delivery.js";
import {
  CommandError,
  ConnectFailed,
  ConnectionLost,
  TransportError,
  TricastError,
  Unauthorized,
  UplinkBlocked,
} from "./errors.js";
import type { Race } from "./fallback.js";
import type { Mailbox } from "./mailbox.js";
import type { Recall } from "./memory.js";
import { type Owner, Runner } from "./runner.js";
import type { Session } from "./session.js";
import { later, now, Pulse } from "./time.js";
import type { Timeline } from "./timeline.js";
import { Topics } from "./topics.js";
import { type Answer, type Link, Overflow } from "./transports/base.js";
import type { Uplink } from "./uplink.js";
import type { Command, Frame, Subscribe, TransportName } from "./wire/messages.js";

/** Seconds, until a hello says otherwise. */
const DEDUPE_WINDOW = 120;

/** What a keeper works with, and whom it tells. */
export interface Surroundings {
  session: Session;
  mailbox: Mailbox;
  delivery: Delivery;
  timeline: Timeline;
  recall: Recall;
  inbox: string;
  race: () => Race;
  link: (name: TransportName) => Link;
  /** Whether another token can be had when one is refused. */
  renews: boolean;
  /** Whether the server can be reached at all, within so many seconds. Never rejects. */
  isOnline: (timeout: number) => Promise<boolean>;
  tell: <K extends "transport" | "uplink">(type: K, detail: BusEventMap[K]["detail"]) => void;
  /** It is over: the server has refused for good, or there is a defect. */
  onEnd: (error: Error) => void;
}

export class Keeper implements Owner {
  /** Of the link that carries; null while none does. */
  transport: TransportName | null = null;
  /** Seconds. */
  dedupeWindow = DEDUPE_WINDOW;
  /** See Stats. */
  readonly counts = { reconnects: 0, switches: 0, timeToFirst: null as number | null };
  readonly #with: Surroundings;
  readonly #topics: Topics;
  readonly #complaints = new Complaints();
  readonly #pulse = new Pulse();
  readonly #runners = new Map<TransportName, Runner>();
  /** Also those that are retired, but not yet at their end. */
  readonly #running = new Set<Runner>();
  /** Refused for want of a good token since anything worked: asked once more, not twice. */
  readonly #renewed = new Set<TransportName>();
  #race: Race;
  #carrier: Runner | null = null;
  #last: TransportName | null = null;
  #wasLost = false;
  #actions: Action[] = [];
  #acting = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #uplink: Uplink = "unknown";
  #paused = true;
  #ended: Error | null = null;

  constructor(surroundings: Surroundings) {
    this.#with = surroundings;
    this.#race = surroundings.race();
    this.#topics = new Topics(surroundings.session);
  }

  get epoch(): string | null {
    return this.#with.session.cursor?.epoch ?? null;
  }

  get uplink(): Uplink {
    return this.#race.uplink;
  }

  // What the bus wants

  async begin(): Promise<void> {
    const [transport, age] = await this.#with.recall.load();
    if (!this.#ended) this.#start(transport ?? null, age);
  }

  /** Resolves as soon as a link carries. Rejects with what ended the client, and with the signal's reason. */
  async up(signal?: AbortSignal): Promise<Link> {
    await this.#until(() => this.#carrier !== null, signal);
    return (this.#carrier as Runner).link;
  }

  /** The link that carries, once it is known to bring commands up. Rejects with UplinkBlocked where none does. */
  async sending(signal?: AbortSignal): Promise<Link> {
    await this.#until(() => this.#carrier !== null && this.uplink !== "unknown", signal);
    if (this.uplink === "blocked") {
      throw new UplinkBlocked("messages come, but none can be sent");
    }
    return (this.#carrier as Runner).link;
  }

  /** As `Link.send`; `apart` from the stream as `Link.post`. */
  async send(link: Link, command: Command, apart = false): Promise<Answer> {
    const runner = this.#runners.get(link.name);
    if (runner?.link !== link) throw new ConnectFailed("the link was closed");
    const { held } = this.#with.mailbox;
    try {
      const answer = await runner.send(command, apart);
      if (link.uplink === "http" || "topics" in command || !this.#renews(answer)) return answer;
      // The token that came with the stream has just expired: beside it goes another one.
      return await runner.send(command, true);
    } catch (error) {
      const doubtful = error instanceof TransportError && runner === this.#carrier && !held;
      if (doubtful) this.#do(this.#race.onDoubt(link.name, now()));
      throw error;
    }
  }

  /**
   * Resolves once a link carries the change. Rejects with the CommandError that refused it, and then takes it back.
   * One call at a time.
   */
  async changeTopics(command: Subscribe, signal: AbortSignal): Promise<void> {
    const before = this.#with.session.version;
    const version = this.#topics.ask(command);
    if (version !== before) {
      // A race that has not begun opens its links with the topics of then.
      if (!this.#paused) this.#do(this.#race.onTopics(now()));
      if (!(await this.#changedInStream(command, before))) this.#reopen();
    }
    await this.#until(() => this.#topics.isCarried(version), signal);
  }

  async #changedInStream(command: Subscribe, before: number): Promise<boolean> {
    const runner = this.#carrier;
    const { mailbox, session } = this.#with;
    if (runner?.link.uplink !== "stream" || runner.stream.version !== before) return false;
    if (mailbox.held || this.uplink !== "ok") return false;
    let answer: Answer;
    try {
      answer = await this.send(runner.link, command);
    } catch (error) {
      if (error instanceof TransportError) return false;
      throw error;
    }
    if (answer instanceof CommandError) {
      if (command.action === "unsubscribe" || this.#renews(answer)) return false;
      this.#topics.takeBack(answer);
    }
    if (runner === this.#carrier) {
      runner.stream.version = session.version;
      this.#topics.carries(session.version, session.topics);
    }
    this.#pulse.notify();
    return true;
  }

  /** Let the next link go on at the cursor with the topics of now. */
  #reopen(): void {
    const runner = this.#carrier;
    if (runner && runner.stream.version < this.#with.session.version) this.#stale(runner, "with other topics");
  }

  /** Ends all links and what waits here, with this error. Idempotent. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#dropAll();
    this.#with.mailbox.close(error);
    this.#pulse.notify();
  }

  // The page and the network

  /** Closes all links until `resume`. */
  pause(why: string): void {
    if (this.#paused || this.#ended) return;
    this.#with.timeline.note(null, "pause", why);
    this.#dropAll();
    this.#wasLost = this.#last !== null;
    // The next network may be another one, so nothing is held against any transport then.
    this.#race = this.#with.race();
    this.#setTransport(null);
    this.#pulse.notify();
  }

  resume(why: string): void {
    if (!this.#paused || this.#ended) return;
    this.#with.timeline.note(null, "resume", why);
    this.#start(this.#last, 0);
  }

  /** Something may be possible that was not before: nothing waits for its time. */
  hurry(why: string): void {
    if (this.#carrier) {
      this.check(why);
    } else {
      this.pause(why);
      this.resume(why);
    }
  }

  /** There was a sleep: see whether the links are still alive. */
  check(why: string): void {
    if (this.#paused || this.#ended) return;
    this.#with.timeline.note(null, "wake", why);
    for (const runner of this.#runners.values()) runner.link.check();
  }

  #start(transport: TransportName | null, age = 0): void {
    this.#paused = false;
    this.#do(this.#race.begin(now(), transport, age));
  }

  #dropAll(): void {
    this.#paused = true;
    clearTimeout(this.#timer);
    this.#actions = [];
    this.#carrier = null;
    for (const runner of this.#running) runner.cancel();
    this.#runners.clear();
  }

  // What the race decides

  #until(test: () => boolean, signal?: AbortSignal): Promise<void> {
    return this.#pulse.until(() => {
      if (this.#ended) throw this.#ended;
      return test();
    }, signal);
  }

  /** Actions may lead to events, and these to actions: they are done in order, each event's as a whole. */
  #do(actions: Action[]): void {
    this.#actions.push(...actions);
    if (this.#acting) return;
    this.#acting = true;
    try {
      for (let next = this.#actions.shift(); next && !this.#paused; next = this.#actions.shift()) this.#act(next);
    } catch (error) {
      this.#with.onEnd(error as Error);
    } finally {
      this.#acting = false;
    }
    this.#plan();
    this.#pulse.notify();
    if (this.#uplink !== this.uplink) {
      this.#uplink = this.uplink;
      this.#with.tell("uplink", { uplink: this.uplink });
    }
  }

  #plan(): void {
    clearTimeout(this.#timer);
    const next = this.#race.nextTime();
    if (this.#paused || next === null) return;
    this.#timer = later(next - now(), () => this.#do(this.#race.onTime(now())));
  }

  #act(action: Action): void {
    const { timeline, isOnline } = this.#with;
    if (action.do === "note") {
      if (action.what === "offline") this.#complaints.takeBack(null);
      timeline.note(action.transport, action.what, action.detail);
    } else if (action.do === "check") {
      const race = this.#race;
      isOnline(race.policy.onlineTimeout).then((online) => {
        if (race === this.#race && !this.#paused) this.#do(race.onOnline(now(), online));
      });
    } else if (action.do === "open") {
      this.#open(action);
    } else {
      const runner = this.#runners.get(action.transport);
      if (!runner) return;
      if (action.do === "prove") this.#prove(runner);
      else if (action.do === "carry") this.#carry(runner, action.why);
      else this.#discard(runner, action.why);
    }
  }

  #open({ transport, why }: Step): void {
    const { link, session, mailbox, inbox, timeline } = this.#with;
    const old = this.#drop(transport);
    const next = link(transport);
    next.why = this.#complaints.tell(transport, this.#carrier ? [] : this.#runners.keys());
    const runner = new Runner(next, session, mailbox, inbox, this);
    this.#runners.set(transport, runner);
    const begin = runner.stream.request.cursor ?? "now";
    timeline.note(transport, old ? "reopen" : "try", `from ${begin}${why && `, ${why}`}`);
    this.#running.add(runner);
    runner
      .run()
      .catch((error) => this.#with.onEnd(error))
      .finally(() => this.#running.delete(runner));
  }

  #prove(runner: Runner): void {
    // Beside a link that carries it must have caught up, so that nothing waits for it at the switch.
    const throughBus = this.#carrier !== null && this.#carrier !== runner;
    runner.prove(throughBus, this.#race.policy.proofTimeout).catch((error) => this.#with.onEnd(error));
  }

  #drop(name: TransportName): boolean {
    const runner = this.#runners.get(name);
    if (!runner) return false;
    this.#runners.delete(name);
    if (runner === this.#carrier) this.#carrier = null;
    runner.retire();
    return true;
  }

  #carry(runner: Runner, why: string): void {
    const { session, timeline } = this.#with;
    if (this.#carrier) this.#carrier.carrying = false;
    this.#carrier = runner;
    this.counts.timeToFirst ??= timeline.elapsed;
    this.counts.reconnects += Number(this.#wasLost);
    this.#wasLost = false;
    this.counts.switches += Number(this.#last !== null && this.#last !== runner.name);
    this.#last = runner.name;
    timeline.note(runner.name, "up", `at ${session.cursor}: ${why}`);
    this.#setTransport(runner.name);
    this.#renewed.clear();
    try {
      for (const part of runner.carry()) this.take(runner, part);
    } catch (error) {
      this.ended(runner, error);
      return;
    }
    this.#topics.carries(runner.stream.version, runner.stream.request.topics);
  }

  #setTransport(transport: TransportName | null): void {
    const previous = this.transport;
    this.transport = transport;
    if (transport !== previous) this.#with.tell("transport", { transport, previous });
  }

  // What links tell

  greeted(runner: Runner): void {
    this.#with.timeline.note(runner.name, "hello", `cursor ${this.#with.session.cursor}`);
    this.#complaints.takeBack(runner.name);
    if (!this.#carrier && !runner.stream.joined) this.#stale(runner, "it began too late");
    else this.#do(this.#race.onHello(runner.name, now()));
  }

  proven(runner: Runner, rtt: number | null): void {
    const { timeline, session, recall } = this.#with;
    const seen = rtt === null ? "answered otherwise" : `after ${(rtt * 1000).toFixed(1)} ms`;
    timeline.note(runner.name, "echo", seen);
    const { version, joined } = runner.stream;
    if (runner === this.#carrier || (version === session.version && joined && !(runner.gapped && this.#carrier))) {
      this.#do(this.#race.onProven(runner.name, now(), rtt));
      if (runner === this.#carrier) recall.save(runner.name);
    } else if (version !== session.version) {
      this.#stale(runner, "with other topics");
    } else if (!joined) {
      this.#stale(runner, "it began too late");
    } else {
      // What it lacks may still come on the link that carries.
      this.#withdraw(runner, "it lacks messages");
    }
  }

  unproven(runner: Runner, why: string): void {
    this.#with.timeline.note(runner.name, "no echo", why);
    this.#complaints.about(runner.name, "mute");
    this.#do(this.#race.onUnproven(runner.name, now(), why));
  }

  overtaken(runner: Runner): boolean {
    if (this.#carrier) {
      this.#withdraw(runner, "too much waits");
      return false;
    }
    this.#prove(runner);
    return true;
  }

  take(runner: Runner, part: Frame): void {
    if (runner !== this.#carrier) return;
    const { session, delivery, timeline } = this.#with;
    const before = session.cursor;
    for (const item of runner.stream.receive(part)) delivery.deliver(item, before);
    if (part.type === "hello") this.dedupeWindow = part.dedupe_window;
    if (part.type === "bye") timeline.note(runner.name, "bye", part.reason);
    if (!runner.stream.joined) throw new ConnectionLost("the server is somewhere else");
  }

  ended(runner: Runner, error: unknown): void {
    const isCommandError = error instanceof CommandError;
    // A token that was good until now: another one goes on at the cursor.
    const expired = this.#renews(error) && runner.age > 0;
    if (!(error instanceof TricastError)) this.#with.onEnd(error as Error);
    else if (isCommandError && !error.retryable && !expired) this.#isRefused(runner, error);
    else if (error instanceof Overflow) this.#stale(runner, error.message);
    else this.#isGone(runner, error, isCommandError, runner.parting || expired);
  }

  #isGone(runner: Runner, error: TricastError, answered: boolean, bye: boolean): void {
    const { timeline } = this.#with;
    const { name, age, stalled } = runner;
    const asked = error instanceof CommandError ? error.retryAfter : null;
    const retryAfter = (bye ? runner.link.reconnectAfter : null) ?? asked;
    const carried = runner === this.#carrier;
    if (!answered && !bye) this.#complaints.about(name, age ? (stalled ? "stalled" : "cut") : "refused");
    this.#drop(name);
    if (carried) {
      this.#wasLost = true;
      timeline.note(name, "lost", `${error.message} (after ${age.toFixed(1)} s)`);
      this.#setTransport(null);
      this.#do(this.#race.onLost(name, now(), age, { retryAfter, bye, stalled }));
    } else {
      timeline.note(name, "failed", error.message);
      this.#do(this.#race.onFailed(name, now(), retryAfter, answered));
    }
  }

  /** No fault of the network, so no other transport would fare better. */
  #isRefused(runner: Runner, error: CommandError): void {
    this.#with.timeline.note(runner.name, "refused", error.message);
    // What was asked for in vain may be asked for no more by now.
    if (runner.stream.version !== this.#with.session.version || this.#topics.takeBack(error)) {
      this.#stale(runner, "without what was refused");
    } else if (this.#renews(error) && !this.#renewed.has(runner.name)) {
      this.#renewed.add(runner.name);
      this.#stale(runner, "with another token");
    } else {
      this.#with.onEnd(error);
    }
  }

  #renews(error: unknown): boolean {
    return error instanceof Unauthorized && this.#with.renews;
  }

  #stale(runner: Runner, why: string): void {
    this.#do(this.#race.onStale(runner.name, now(), why));
  }

  #discard({ name }: Runner, why: string): void {
    this.#drop(name);
    this.#with.timeline.note(name, "close", why);
  }

  #withdraw(runner: Runner, why: string): void {
    this.#discard(runner, why);
    this.#do(this.#race.onWithdrawn(runner.name, now()));
  }
}
