// npm `protobufjs`, which reads the schema itself: what it makes of the cases, and the payloads it writes for them.
// Usage: node protobufjs.mjs SCHEMA CASES; prints {"cases": [{"name", "read", "written"}, ...], "batches": ..., ...}
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";

const [schema, cases] = process.argv.slice(2);
const root = protobuf.parse(readFileSync(schema, "utf8"), { keepCase: true }).root;
const [Frame, Batch, Command, Commands, Answers] = ["Frame", "Batch", "Command", "Commands", "Answers"].map((name) =>
  root.lookupType(`tricast.v1.${name}`),
);

// What is called otherwise in JSON.
const NAMES = { sender: "from", subject: "sub" };
const renamed = (members, names) =>
  Object.fromEntries(Object.entries(members).map(([name, value]) => [names[name] ?? name, value]));
const SCHEMA_NAMES = Object.fromEntries(Object.entries(NAMES).map((pair) => pair.reverse()));

// `data` says which of both it is; what lists nothing has none.
function membersOf({ data, json, bytes, topics = [], ...members }) {
  return {
    ...renamed(members, NAMES),
    ...(json === undefined ? {} : { data: JSON.parse(json) }),
    ...(bytes === undefined ? {} : { data_b64: bytes }),
    ...(topics.length ? { topics } : {}),
  };
}

const frameOf = ({ frame: type, ...frame }) => (type ? { type, ...membersOf(frame[type]) } : null);
const commandOf = ({ action = "unknown", ref, ...command }) => ({
  action,
  ...membersOf(command[action] ?? {}),
  ...(ref === undefined ? {} : { ref }),
});

function fieldsOf({ data, data_b64, ...members }) {
  return {
    ...renamed(members, SCHEMA_NAMES),
    ...(data === undefined ? {} : { json: JSON.stringify(data) }),
    ...(data_b64 === undefined ? {} : { bytes: data_b64 }),
  };
}

const fromFrame = ({ type, ...members }) => ({ [type]: fieldsOf(members) });
// A delay of 0 is what one gets that says none.
const fromCommand = ({ action, ref, delay, ...members }) => ({
  [action]: fieldsOf({ ...members, ...(delay ? { delay } : {}) }),
  ...(ref === undefined ? {} : { ref }),
});

/** By group: the type, what a message of it means, and the message for a case. */
const GROUPS = {
  cases: [Frame, frameOf, (it) => fromFrame(it.frame)],
  batches: [
    Batch,
    ({ cursor, messages = [], hello, bye }) => ({
      cursor,
      frames: messages.map(frameOf).filter((frame) => ["message", "gap"].includes(frame?.type)),
      ...(hello && { hello: { type: "hello", ...membersOf(hello) } }),
      ...(bye && { bye: { type: "bye", ...membersOf(bye) } }),
    }),
    ({ cursor, frames, hello, bye }) => ({
      cursor,
      messages: frames.map(fromFrame),
      ...(hello && { hello: fieldsOf(hello) }),
      ...(bye && { bye: fieldsOf(bye) }),
    }),
  ],
  commands: [Command, commandOf, (it) => fromCommand(it.command)],
  sends: [Commands, ({ commands = [] }) => commands.map(commandOf), (it) => ({ commands: it.commands.map(fromCommand) })],
  answers: [Answers, ({ frames = [] }) => frames.map(frameOf), (it) => ({ frames: it.frames.map(fromFrame) })],
};

const base64 = (bytes) => Buffer.from(bytes).toString("base64");

function answer([type, meaning, fields], it) {
  const message = type.decode(Buffer.from(it.base64, "base64"));
  const read = meaning(type.toObject(message, { oneofs: true, bytes: String }));
  const written = it.ignored || it.read_only ? it.base64 : base64(type.encode(type.fromObject(fields(it))).finish());
  return { name: it.name, read, written };
}

const content = JSON.parse(readFileSync(cases, "utf8"));
const answers = Object.entries(GROUPS).map(([name, group]) => [
  name,
  content[name].filter((it) => !it.error).map((it) => answer(group, it)),
]);
console.log(JSON.stringify(Object.fromEntries(answers)));
