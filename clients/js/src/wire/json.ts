/** The `json` format. Frames keep the names they have on the wire; only bytes are spelled otherwise there. */

import { BadRequest, ProtocolError } from "../errors.js";
import type { Format } from "./format.js";
import type { Batch, Bye, Command, Data, Frame, Hello, JsonValue } from "./messages.js";

type Members = { [member: string]: JsonValue };

/** The members of each type of frame; a question mark follows those that may be absent. */
const FRAMES: Record<string, string> = {
  hello: "transport client cursor heartbeat dedupe_window topics node protocol?",
  message: "topic cursor data id? event? from? sub? ts?",
  gap: "topics cursor reason after? exact?",
  heartbeat: "cursor",
  reply: "action ref? at? duplicate? cursor? topics? data?",
  error: "code message ref? retry_after?",
  bye: "reason reconnect_after",
};
/** Readers take these for texts, or lists of texts, without looking at them first. */
const TEXTS = /^(topics?|cursor|at|code|action)$/;

/** The frame in `text`, or null for a type this version does not know. Throws ProtocolError. */
export function decode(text: string | Uint8Array): Frame | null {
  return frameOf(parse(text));
}

/** The answer to a poll. Frames of unknown types are left out. Throws ProtocolError. */
export function decodeBatch(text: string | Uint8Array): Batch {
  const { cursor, messages = [], hello, bye } = parse(text);
  if (typeof cursor !== "string" || !Array.isArray(messages)) throw broken("that is no answer to a poll");
  const frames = messages.map(frameOf).filter((frame) => frame?.type === "message" || frame?.type === "gap");
  const batch: Batch = { type: "batch", cursor, frames };
  if (hello) batch.hello = frameOf({ ...(hello as Members), type: "hello" }) as Hello;
  if (bye) batch.bye = frameOf({ ...(bye as Members), type: "bye" }) as Bye;
  return batch;
}

/** The frame that a JSON object spells; null where its type is unknown. Throws ProtocolError. */
export function frameOf(members: JsonValue): Frame | null {
  if (!isObject(members) || typeof members.type !== "string") throw broken("a frame is no object with a type");
  const { type } = members;
  if (!Object.hasOwn(FRAMES, type)) return null;
  const frame: Record<string, unknown> = { type };
  if (type === "hello") frame.protocol = 1;
  if (type === "gap") frame.exact = true;
  for (const spec of (FRAMES[type] as string).split(" ")) {
    const name = spec.replace("?", "");
    const value = memberOf(name, members);
    if (value !== undefined) frame[name] = value;
    else if (name === spec) throw broken(`a ${type} frame has no ${name}`);
  }
  return frame as unknown as Frame;
}

/** Absent members may also be null, but null is data. */
function memberOf(name: string, members: Members): Data | undefined {
  if (name === "data") return members.data_b64 == null ? members.data : bytesOf(members.data_b64);
  const value = members[name] ?? undefined;
  const texts = name === "topics" ? value : [value];
  if (value !== undefined && TEXTS.test(name) && !(Array.isArray(texts) && texts.every(isText))) {
    throw broken(`${name} is no text`);
  }
  return value;
}

/** A command or a frame as JSON. Throws BadRequest for what I-JSON (RFC 7493) cannot carry. */
export function encode(value: Command | Frame): string {
  return stringify(membersOf(value));
}

export const json: Format = {
  name: "json",
  // None: as text/plain, so browsers need not ask first whether they may send it to another origin.
  headers: {},
  // A binary frame of a WebSocket is for another format, or for a later version.
  decode: (payload) => (isText(payload) ? decode(payload) : null),
  decodeBatch,
  decodeAnswer: decode,
  encode,
  encodeBody: encode,
};

/** Throws BadRequest for what I-JSON (RFC 7493) cannot carry. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, strictly);
}

/** The JSON object for a command or a frame. */
export function membersOf(value: Command | Frame): Members {
  const members: Record<string, unknown> = { ...value };
  if (members.data instanceof Uint8Array) {
    members.data_b64 = base64Of(members.data);
    delete members.data;
  }
  return members as Members;
}

/** JSON.stringify would make null of some of these, and leave others out. */
function strictly(name: string, value: unknown): unknown {
  const kind = typeof value;
  const isInfinite = kind === "number" && !Number.isFinite(value);
  if (isInfinite || /bigint|function|symbol/.test(kind) || hasLoneSurrogate(name) || hasLoneSurrogate(value)) {
    throw new BadRequest(`data is no I-JSON value: ${String(value).slice(0, 64)}`);
  }
  return value;
}

/** With the flag `u` a pair is one character, so only lone ones are left to match (RFC 7493, 2.1). */
export function hasLoneSurrogate(text: unknown): boolean {
  return isText(text) && /[\ud800-\udfff]/u.test(text);
}

export function base64Of(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** The bytes of a `data_b64` member. Throws ProtocolError. */
export function bytesOf(text: JsonValue | undefined): Uint8Array {
  try {
    return Uint8Array.from(atob(text as string), (character) => character.charCodeAt(0));
  } catch {
    throw broken("data_b64 is not base64");
  }
}

export function isObject(value: Data | undefined): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** What is no object is as good as an empty one. */
function parse(payload: string | Uint8Array): Members {
  return { ...(parseJson(textIn(payload)) as Members) };
}

/** One JSON value of a server's. Throws ProtocolError. */
export function parseJson(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    throw broken(`the server sent what is not JSON: ${text.slice(0, 80)}`);
  }
}

export function textIn(payload: string | Uint8Array): string {
  return isText(payload) ? payload : new TextDecoder().decode(payload);
}

function broken(why: string): ProtocolError {
  return new ProtocolError(why);
}
