/**
 * One echo and broadcast message bus over WebSocket, Server-Sent Events and long polling: the client.
 *
 *     const bus = connect("http://127.0.0.1:8080", { topics: ["t"] });
 *     await bus.publish("t", { n: 1 });
 *     for await (const message of bus) console.log(message);
 */

export { Bus, type BusEventMap, type CallOptions, connect, type PublishOptions } from "./client.js";
export {
  BadRequest,
  BusClosed,
  CommandError,
  Conflict,
  ConnectFailed,
  ConnectionLost,
  Forbidden,
  GapError,
  OutcomeUnknown,
  ProtocolError,
  RateLimited,
  TooLarge,
  TooMany,
  TransportError,
  TricastError,
  Unauthorized,
  Unavailable,
  UnknownAction,
  UplinkBlocked,
} from "./errors.js";
export { LocalStore, type Memory, type Store } from "./memory.js";
export type { ConnectOptions } from "./options.js";
export type { Policy } from "./policy.js";
export type { Stats, TimelineRecord, What } from "./timeline.js";
export type { Uplink } from "./uplink.js";
export type { Format } from "./wire/format.js";
export type { Data, Gap, GapReason, JsonValue, Message, TransportName } from "./wire/messages.js";
