/** From a JSON value to a command, with the reason where it is none. Both short forms of the contract are taken. */

import { BadRequest, type ProtocolError, UnknownAction } from "../errors.js";
import { INBOX_PREFIX, isName, isTopic } from "./cursor.js";
import { bytesOf, hasLoneSurrogate, isObject } from "./json.js";
import type { Command, Data, JsonValue } from "./messages.js";

const PING_DELAY_MAX = 30;
const EVENT_MAX = 256;
const REF_MAX = 256;

type Members = { [member: string]: JsonValue };

/** Topic names, each once, in the order given. Throws BadRequest. */
export function topicList(names: unknown): string[] {
  if (!Array.isArray(names) || !names.length) throw new BadRequest("topics is a list of names, not empty");
  for (const name of names) {
    if (!isTopic(name)) throw new BadRequest(`no topic's name: ${String(name).slice(0, 64)}`);
  }
  return [...new Set<string>(names)];
}

/** The command that a JSON value spells. Throws BadRequest or UnknownAction. */
export function commandOf(value: JsonValue): Command {
  if (!isObject(value)) throw new BadRequest("a command is an object");
  const { action } = value;
  if (action == null && "event" in value) return publish({ ...value, data: value.payload ?? null });
  if (typeof action !== "string") throw new BadRequest('a command has an "action"');
  const name = action.toLowerCase();
  const make = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (!make) throw new UnknownAction(`no such action: ${action.slice(0, 64)}`);
  return make(value);
}

const ACTIONS: Record<string, (value: Members) => Command> = {
  publish,
  echo,
  ping,
  subscribe: (value) => ({ action: "subscribe", topics: topicList(value.topics), ...refOf(value) }),
  unsubscribe: (value) => ({ action: "unsubscribe", topics: topicList(value.topics), ...refOf(value) }),
  refresh,
};

function publish(value: Members): Command {
  const { topic, event, id } = value;
  if (event != null && !(typeof event === "string" && isShort(event, EVENT_MAX))) {
    throw new BadRequest(`event is a text of ${EVENT_MAX} characters at most`);
  }
  if (id != null && !isName(id)) throw new BadRequest("id is 1 to 64 characters of A-Za-z0-9_-");
  const data = dataOf(value);
  if (data === undefined) throw new BadRequest("publish needs data");
  return {
    action: "publish",
    ...(topic == null ? {} : { topic: topicList([topic])[0] as string }),
    ...(event == null ? {} : { event }),
    ...(id == null ? {} : { id }),
    data,
    ...refOf(value),
  };
}

function echo(value: Members): Command {
  const { reply_to } = value;
  if (reply_to != null && !(isTopic(reply_to) && reply_to.startsWith(INBOX_PREFIX))) {
    throw new BadRequest("reply_to is an _inbox topic");
  }
  const data = dataOf(value);
  return {
    action: "echo",
    ...(data === undefined ? {} : { data }),
    ...(reply_to == null ? {} : { reply_to }),
    ...refOf(value),
  };
}

function ping(value: Members): Command {
  const { delay = 0 } = value;
  if (typeof delay !== "number" || !(delay >= 0 && delay <= PING_DELAY_MAX)) {
    throw new BadRequest(`delay is 0 to ${PING_DELAY_MAX} seconds`);
  }
  return { action: "ping", delay, ...refOf(value) };
}

function refresh(value: Members): Command {
  if (typeof value.token !== "string") throw new BadRequest("refresh needs a token");
  return { action: "refresh", token: value.token, ...refOf(value) };
}

function dataOf(value: Members): Data | undefined {
  if (!("data_b64" in value)) return value.data;
  try {
    return bytesOf(value.data_b64);
  } catch (error) {
    throw new BadRequest((error as ProtocolError).message);
  }
}

/** The `ref` to answer with; what is no ref is none. */
function refOf({ ref }: Members): { ref?: string } {
  return typeof ref === "string" && isShort(ref, REF_MAX) ? { ref } : {};
}

function isShort(text: string, limit: number): boolean {
  return [...text].length <= limit && !hasLoneSurrogate(text);
}
