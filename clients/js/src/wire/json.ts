/** The `json` format. Frames keep the names they have on the wire; only bytes are spelled otherwise there. */

import { BadRequest, ProtocolError } from "../errors.js";
import type { Batch, Bye, Command, Data, Frame, Hello, JsonValue } from "./messages.js";

type Members = { [member: string]: JsonValue };

/** The members that a frame of each type must have, and those it may have. */
const FRAMES: Record<string, [string[], string[]]> = {
  hello: [["transport", "client", "cursor", "heartbeat", "dedupe_window", "topics", "node"], ["protocol"]],
  message: [
    ["topic", "cursor", "data"],
    ["id", "event", "from", "sub", "ts"],
  ],
  gap: [
    ["topics", "cursor", "reason"],
    ["after", "exact"],
  ],
  heartbeat: [["cursor"], []],
  reply: [["action"], ["ref", "at", "duplicate", "cursor", "topics", "data"]],
  error: [
    ["code", "message"],
    ["ref", "retry_after"],
  ],
  bye: [["reason", "reconnect_after"], []],
};
/** Readers look these up without looking at them first. */
const TEXTS = ["topic", "cursor", "at", "code", "action"];

/** The frame in `text`, or null for a type this version does not know. Throws ProtocolError. */
export function decode(text: string): Frame | null {
  return frameOf(parse(text));
}

/** The answer to a poll. Frames of unknown types are left out. Throws ProtocolError. */
export function decodeBatch(text: string): Batch {
  const members = parse(text);
  if (!isObject(members) || typeof members.cursor !== "string") throw broken("the answer to a poll has no cursor");
  const { cursor, messages = [], hello, bye } = members;
  if (!Array.isArray(messages)) throw broken("the messages of a poll are no list");
  const frames = messages.map(frameOf).filter((frame) => frame?.type === "message" || frame?.type === "gap");
  const batch: Batch = { type: "batch", cursor, frames };
  if (hello) batch.hello = frameOf(typed("hello", hello)) as Hello;
  if (bye) batch.bye = frameOf(typed("bye", bye)) as Bye;
  return batch;
}

function typed(type: string, members: JsonValue): JsonValue {
  return isObject(members) ? { ...members, type } : members;
}

/** The frame that a JSON object spells; null where its type is unknown. Throws ProtocolError. */
export function frameOf(members: JsonValue): Frame | null {
  if (!isObject(members) || typeof members.type !== "string") throw broken("a frame is no object with a type");
  const { type } = members;
  if (!Object.hasOwn(FRAMES, type)) return null;
  const frame: Record<string, unknown> = { type };
  if (type === "hello") frame.protocol = 1;
  if (type === "gap") frame.exact = true;
  const [required, optional] = FRAMES[type] as [string[], string[]];
  for (const name of required) {
    if (!take(frame, name, members)) throw broken(`a ${type} frame has no ${name}`);
  }
  for (const name of optional) take(frame, name, members);
  return frame as unknown as Frame;
}

/** Whether it is there. Absent members may also be null, but null is data. */
function take(frame: Record<string, unknown>, name: string, members: Members): boolean {
  const value = name === "data" && "data_b64" in members ? bytesOf(members.data_b64) : members[name];
  if (value === undefined || (value === null && name !== "data")) return false;
  check(name, value);
  frame[name] = value;
  return true;
}

function check(name: string, value: unknown): void {
  if (name === "topics" && !(Array.isArray(value) && value.every((topic) => typeof topic === "string"))) {
    throw broken("topics are no list of names");
  }
  if (TEXTS.includes(name) && typeof value !== "string") throw broken(`${name} is no text`);
}

/** A command or a frame as JSON. Throws BadRequest for what I-JSON (RFC 7493) cannot carry. */
export function encode(value: Command | Frame): string {
  return JSON.stringify(membersOf(value), strictly);
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
  const wrong = kind === "number" ? !Number.isFinite(value) : kind === "string" && hasLoneSurrogate(value as string);
  if (wrong || kind === "bigint" || kind === "function" || kind === "symbol" || hasLoneSurrogate(name)) {
    throw new BadRequest(`data is no I-JSON value: ${String(value).slice(0, 64)}`);
  }
  return value;
}

/** With the flag `u` a pair is one character, so only lone ones are left to match (RFC 7493, 2.1). */
export function hasLoneSurrogate(text: string): boolean {
  return /[\ud800-\udfff]/u.test(text);
}

export function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** The bytes of a `data_b64` member. Throws ProtocolError. */
export function bytesOf(text: JsonValue | undefined): Uint8Array {
  // atob is more lenient: it skips white space and does without padding.
  if (typeof text !== "string" || text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw broken("data_b64 is not base64");
  }
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function isObject(value: Data | undefined): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw broken(`the server sent what is not JSON: ${(error as Error).message}`);
  }
}

function broken(why: string): ProtocolError {
  return new ProtocolError(why);
}
