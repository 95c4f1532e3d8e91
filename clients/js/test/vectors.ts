/**
 * The cases that clients in all languages share: tests/vectors/*.json. Each file says in `about` what it means.
 *
 * Nothing here is of Node or of a test runner, so that the same cases also run in a browser.
 */

import type { Action } from "../src/actions.js";
import { TricastError } from "../src/errors.js";
import { Race } from "../src/fallback.js";
import { POLICY, type Policy } from "../src/policy.js";
import { queryOf, Session, type Stream } from "../src/session.js";
import { commandOf } from "../src/wire/commands.js";
import { base64Of, bytesOf, decode, decodeBatch, encode, frameOf, membersOf } from "../src/wire/json.js";
import type { Batch, Frame, TransportName } from "../src/wire/messages.js";
import { protobuf } from "../src/wire/protobuf.js";
import { Parser } from "../src/wire/sse.js";

// biome-ignore lint/suspicious/noExplicitAny: each file has a shape of its own, which its `about` describes
type Any = any;
type Run = (step: Any) => void;

const RUNS: Record<string, Record<string, Run>> = {
  "frames.json": { cases: frame, batches: batch },
  "protobuf.json": { cases: pbFrame, batches: pbBatch, commands: pbCommand, sends: pbSend, answers: pbAnswer },
  "commands.json": { cases: command },
  "sse.json": { cases: eventStream },
  "session.json": { cases: session },
  "fallback.json": { cases: fallback },
};

export const FILES = Object.keys(RUNS);

/** Every case of a file, by name, as a function that throws where the case fails. */
export function casesOf(file: string, content: Any): [string, () => void][] {
  const groups = Object.entries(RUNS[file] ?? {});
  return groups.flatMap(([group, run]) => {
    const cases = content[group].filter((it: Any) => !(ONLY_WRITTEN.includes(run) && isForServers(it)));
    return cases.map((it: Any) => [`${group}: ${it.name}`, () => run(it)]);
  });
}

/** A client reads no commands. */
const ONLY_WRITTEN: Run[] = [pbCommand, pbSend];

/** What is wrong, or spelled as nobody writes it, or several at once. */
function isForServers(it: Any): boolean {
  return it.error || it.read_only || (it.commands && it.commands.length !== 1);
}

function frame(it: Any): void {
  if (it.error) {
    fails(it.error, () => decode(it.text));
  } else if (it.ignored) {
    same(decode(it.text), null);
  } else {
    const decoded = decode(it.text) as Frame;
    same(membersOf(decoded), it.frame);
    same(decode(encode(decoded)), decoded);
  }
}

function batch(it: Any): void {
  batchBy(() => decodeBatch(it.text), it);
}

function batchBy(read: () => Batch, it: Any): void {
  if (it.error) {
    fails(it.error, read);
    return;
  }
  const { cursor, frames, hello, bye } = read();
  same([cursor, frames.map(membersOf), hello, bye], [it.cursor, it.frames, it.hello, it.bye]);
}

function pbFrame(it: Any): void {
  // As on a WebSocket, and as in an event stream.
  for (const payload of [bytesOf(it.base64), it.base64]) {
    if (it.error) fails(it.error, () => protobuf.decode(payload));
    else same(spelled(protobuf.decode(payload)), it.ignored ? null : it.frame);
  }
}

function pbBatch(it: Any): void {
  batchBy(() => protobuf.decodeBatch(bytesOf(it.base64)), it);
}

function pbAnswer(it: Any): void {
  const read = () => protobuf.decodeAnswer(bytesOf(it.base64));
  if (it.error) fails(it.error, read);
  else same(spelled(read()), it.frames[0] ?? null);
}

function pbCommand(it: Any): void {
  same(base64Of(protobuf.encode(commandOf(it.command)) as Uint8Array), it.base64);
}

function pbSend(it: Any): void {
  same(base64Of(protobuf.encodeBody(commandOf(it.commands[0])) as Uint8Array), it.base64);
}

function spelled(frame: Frame | null): unknown {
  return frame && membersOf(frame);
}

function command(it: Any): void {
  if (it.error) {
    fails(it.error, () => commandOf(it.value));
    return;
  }
  const decoded = commandOf(it.value);
  same(membersOf(decoded), it.command);
  same(commandOf(JSON.parse(encode(decoded))), decoded);
}

function eventStream(it: Any): void {
  const chunks: Uint8Array[] = it.base64
    ? [Uint8Array.from(atob(it.base64), (character) => character.charCodeAt(0))]
    : it.chunks.map((chunk: string) => new TextEncoder().encode(chunk));
  const bytes = chunks.flatMap((chunk) => [...chunk]);
  same(parsed(chunks), it.events);
  same(parsed([Uint8Array.from(bytes)]), it.events);
  same(parsed(bytes.map((byte) => Uint8Array.of(byte))), it.events);
}

function parsed(chunks: Uint8Array[]): unknown[] {
  const parser = new Parser();
  return chunks.flatMap((chunk) => parser.feed(chunk));
}

function session(it: Any): void {
  const session = new Session(it.topics, it.cursor ?? null, it.last ?? 0);
  const links: Record<string, Stream> = {};
  for (const step of it.steps) sessionStep(session, links, step);
  for (const [name, count] of Object.entries(it.counts ?? {})) {
    const key = name.replace("_dropped", "") as keyof typeof session.counts;
    same(`${name} ${session.counts[key]}`, `${name} ${count}`);
  }
}

function sessionStep(session: Session, links: Record<string, Stream>, step: Any): void {
  if (step.open) {
    const stream = session.open();
    links[step.open] = stream;
    same(queryOf(stream.request), step.ask);
  } else if (step.subscribe) {
    session.subscribe(step.subscribe);
  } else if (step.unsubscribe) {
    session.unsubscribe(step.unsubscribe);
  } else {
    const link = links[step.link] as Stream;
    if (step.error) fails(step.error, () => link.receive(received(step.frame)));
    else same(link.receive(received(step.frame)).map(shown), step.deliver);
    same(session.cursor && `${session.cursor}`, step.cursor);
  }
}

function received(frame: Any): Frame | Batch {
  return frame.messages ? decodeBatch(JSON.stringify(frame)) : (frameOf(frame) as Frame);
}

function shown(item: { type: string; cursor: string }): string {
  return item.type === "gap" ? `gap ${item.cursor}` : item.cursor;
}

function fallback(it: Any): void {
  const race = new Race(it.transports, policyOf(it.policy ?? {}), () => 0.5);
  for (const step of it.steps) {
    const done = event(race, step).map(action);
    const seen = { do: done, carrier: race.carrier, uplink: race.uplink, next: rounded(race.nextTime(), step.next) };
    same(seen, { do: step.do, carrier: step.carrier, uplink: step.uplink, next: step.next }, step);
  }
}

/** To the millisecond; a half may have been rounded either way. */
function rounded(time: number | null, expected: number | null): number | null {
  if (time !== null && expected !== null && Math.abs(time - expected) < 0.000501) return expected;
  return time;
}

function policyOf(policy: Record<string, number>): Partial<Policy> {
  const camel = (name: string) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  const entries = Object.entries(policy).map(([name, seconds]) => [camel(name), seconds]);
  for (const [name] of entries) if (!((name as string) in POLICY)) throw new Error(`no such time: ${name}`);
  return Object.fromEntries(entries);
}

function event(race: Race, step: Any): Action[] {
  const { at, args = [], retry_after = null } = step;
  const [transport, ...more] = args as [TransportName, ...Any[]];
  switch (step.event) {
    case "begin":
      return race.begin(at, ...(args as [TransportName?, number?]));
    case "hello":
      return race.onHello(transport, at);
    case "proven":
      return race.onProven(transport, at, ...more);
    case "unproven":
      return race.onUnproven(transport, at, ...more);
    case "doubt":
      return race.onDoubt(transport, at);
    case "failed":
      return race.onFailed(transport, at, retry_after, step.answered);
    case "lost":
      return race.onLost(transport, at, more[0], { retryAfter: retry_after, bye: step.bye, stalled: step.stalled });
    case "stale":
      return race.onStale(transport, at, ...more);
    case "topics":
      return race.onTopics(at);
    case "withdrawn":
      return race.onWithdrawn(transport, at);
    case "online":
      return race.onOnline(at, args[0]);
    case "time":
      return race.onTime(at);
  }
  throw new Error(`what is this event? ${step.event}`);
}

function action(it: Action): string {
  if (it.do === "note") return `note ${it.what}${it.transport ? ` ${it.transport}` : ""}`;
  return it.do === "check" ? "check" : `${it.do} ${it.transport}`;
}

function fails(code: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    same(error instanceof TricastError ? error.code : `${error}`, code);
    return;
  }
  throw new Error(`no error, but it should have been ${code}`);
}

/** Throws unless both are the same as JSON; the order of members does not count. */
function same(actual: unknown, expected: unknown, where: unknown = ""): void {
  const [is, should] = [canonical(actual), canonical(expected)];
  if (is !== should) throw new Error(`is ${is}\nnot ${should}\n${where && JSON.stringify(where)}`);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) => {
    if (member instanceof Uint8Array) return { bytes: [...member] };
    const isObject = typeof member === "object" && member !== null && !Array.isArray(member);
    return isObject ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1))) : member;
  });
}
