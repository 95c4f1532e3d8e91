/** Frames (server to client) and commands (client to server), as they stand on the wire. */

/** Any I-JSON value (RFC 7493). */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [member: string]: JsonValue };
/** What a message carries: bytes where the publisher sent bytes (on the wire they are `data_b64`). */
export type Data = JsonValue | Uint8Array;

export type TransportName = "ws" | "sse" | "poll";
export type GapReason = "expired" | "epoch" | "slow";

export const PROTOCOL = 1;

export interface Hello {
  type: "hello";
  protocol: number;
  transport: string;
  client: string;
  cursor: string;
  /** Seconds. */
  heartbeat: number;
  /** Seconds. */
  dedupe_window: number;
  topics: string[];
  node: string;
}

export interface Message {
  type: "message";
  topic: string;
  cursor: string;
  id?: string;
  event?: string;
  data: Data;
  /** The publisher's `client`. */
  from?: string;
  /** The publisher's subject, where the server authenticates. */
  sub?: string;
  /** The server's clock, in seconds since 1970. */
  ts?: number;
}

/** Of `topics`, everything not received up to `cursor` is lost. Not `exact`: something may be. */
export interface Gap {
  type: "gap";
  topics: string[];
  after?: string;
  cursor: string;
  reason: GapReason;
  exact: boolean;
}

export interface Heartbeat {
  type: "heartbeat";
  cursor: string;
}

/** `at` is where a publish was appended; `cursor` is this subscription's own (subscribe, unsubscribe). */
export interface Reply {
  type: "reply";
  action: string;
  ref?: string;
  at?: string;
  duplicate?: boolean;
  cursor?: string;
  topics?: string[];
  data?: Data;
}

export interface Failure {
  type: "error";
  code: string;
  message: string;
  ref?: string;
  /** Seconds. */
  retry_after?: number;
}

export interface Bye {
  type: "bye";
  reason: string;
  /** Seconds, spread over the clients. */
  reconnect_after: number;
}

export type Frame = Hello | Message | Gap | Heartbeat | Reply | Failure | Bye;

/** One answer to a long poll. `frames` holds messages and gaps in order. */
export interface Batch {
  type: "batch";
  cursor: string;
  frames: (Message | Gap)[];
  hello?: Hello;
  bye?: Bye;
}

/** Without `topic`: to the connection's first topic. */
export interface Publish {
  action: "publish";
  data: Data;
  topic?: string;
  event?: string;
  id?: string;
  ref?: string;
}

export interface Echo {
  action: "echo";
  data?: Data;
  reply_to?: string;
  ref?: string;
}

export interface Ping {
  action: "ping";
  /** Seconds, 0 to 30. */
  delay?: number;
  ref?: string;
}

export interface Subscribe {
  action: "subscribe" | "unsubscribe";
  topics: string[];
  ref?: string;
}

export interface Refresh {
  action: "refresh";
  token: string;
  ref?: string;
}

export type Command = Publish | Echo | Ping | Subscribe | Refresh;
