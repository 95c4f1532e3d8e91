/**
 * The `protobuf` format: the same frames and commands, as proto/tricast.proto has them.
 *
 *     import { connect } from "@tricast/client";
 *     import { protobuf } from "@tricast/client/protobuf";
 *     const bus = connect(url, { format: protobuf });
 *
 * Data is JSON text within, or bytes as they are. Fields that this version does not know are left out.
 */

import { create, type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BadRequest, ProtocolError } from "../errors.js";
import type { Format, Payload } from "./format.js";
import { bytesOf, decode as decodeJson, frameOf, parseJson, stringify, textIn } from "./json.js";
import type { Batch, Bye, Command, Data, Frame, Hello, JsonValue } from "./messages.js";
import * as pb from "./tricast_pb.js";

export const protobuf: Format = {
  name: "protobuf",
  headers: { "Content-Type": "application/x-protobuf" },
  decode: (payload) => (typeof payload === "string" ? fromText(payload) : fromBytes(payload)),
  decodeBatch,
  decodeAnswer: (body) => known(parsed(pb.AnswersSchema, body).frames[0]),
  encode: (command) => bytes(pb.CommandSchema, messageOf(command)),
  encodeBody: (command) => bytes(pb.CommandsSchema, create(pb.CommandsSchema, { commands: [messageOf(command)] })),
};

/** What JSON calls otherwise. */
const JSON_NAMES: Record<string, string> = { sender: "from", subject: "sub" };
/** Protobuf knows no fields that must be there: of these, an empty one is absent. */
const NEEDED = /^(topic|cursor|code|action)$/;
const SCHEMAS: Record<string, DescMessage> = {
  hello: pb.HelloSchema,
  message: pb.MessageSchema,
  gap: pb.GapSchema,
  heartbeat: pb.HeartbeatSchema,
  reply: pb.ReplySchema,
  error: pb.ErrorSchema,
  bye: pb.ByeSchema,
};

// Decoding

/** Base64 is what an event stream has. A server without this format says so in JSON, which none begins like. */
function fromText(text: string): Frame | null {
  if (!text.startsWith("{")) return fromBytes(bytesOf(text));
  const frame = decodeJson(text);
  if (frame?.type === "error") return frame;
  throw new ProtocolError("the server sent JSON, not protobuf");
}

function fromBytes(payload: Uint8Array): Frame | null {
  return known(parsed(pb.FrameSchema, payload));
}

function decodeBatch(body: Uint8Array): Batch {
  const { cursor, messages, hello, bye } = parsed(pb.BatchSchema, body);
  if (!cursor) throw new ProtocolError("the answer to a poll has no cursor");
  const frames = messages.map(known).filter((frame) => frame?.type === "message" || frame?.type === "gap");
  const batch: Batch = { type: "batch", cursor, frames };
  if (hello) batch.hello = frameIn("hello", hello) as Hello;
  if (bye) batch.bye = frameIn("bye", bye) as Bye;
  return batch;
}

function parsed<Desc extends DescMessage>(schema: Desc, payload: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, payload, { readUnknownFields: false });
  } catch {
    throw new ProtocolError(`the server sent what is not protobuf: ${textIn(payload).slice(0, 80)}`);
  }
}

function known(message: pb.Frame | undefined): Frame | null {
  const { case: type, value } = message?.frame ?? {};
  return type && value ? frameIn(type, value) : null;
}

/** As JSON spells it, and checked by the same rules. Throws ProtocolError. */
function frameIn(type: string, message: Message): Frame | null {
  const fields = message as unknown as Record<string, Data> & { data?: pb.Message["data"] };
  const members: Record<string, Data | undefined> = { type };
  for (const { name, localName, oneof } of (SCHEMAS[type] as DescMessage).fields) {
    const value = fields[localName];
    if (!oneof && !(value === "" && NEEDED.test(name))) members[JSON_NAMES[name] ?? name] = value;
  }
  // An empty list is there only in the answers that bring one.
  if (type === "reply" && members.cursor === undefined) delete members.topics;
  const { data } = fields;
  // Bytes not as a view of all that has come with them.
  if (data?.case) members.data = data.case === "json" ? parseJson(data.value) : data.value.slice();
  return frameOf(members as unknown as JsonValue);
}

// Encoding

function messageOf(command: Command): pb.Command {
  stringify({ ...command, data: null }); // lone surrogates would be replaced without a word
  const { action, ref, ...members } = command;
  const { data, reply_to: replyTo, ...others } = members as { data?: Data; reply_to?: string };
  const value = { ...others, replyTo, data: dataOf(data) };
  return create(pb.CommandSchema, { ref, action: { case: action, value } } as never);
}

function dataOf(data: Data | undefined): object {
  if (data instanceof Uint8Array) return { case: "bytes", value: data };
  const value = stringify(data);
  return value === undefined ? { case: undefined } : { case: "json", value };
}

function bytes<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Payload {
  try {
    return toBinary(schema, message);
  } catch (error) {
    throw new BadRequest((error as Error).message);
  }
}
