/** How frames and commands are spelled on the wire; the rest of the client knows only what they mean. */

import type { Batch, Command, Frame } from "./messages.js";

/** What goes out: a text, or bytes. */
export type Payload = string | Uint8Array<ArrayBuffer>;

/** Decoding throws ProtocolError, encoding BadRequest for what the format cannot carry. */
export interface Format {
  /** As in the query and in the WebSocket's subprotocol. */
  readonly name: string;
  /** Of a request that brings `encodeBody`. */
  readonly headers: Record<string, string>;
  /** One frame of a WebSocket or of an event stream; null for a type that this version does not know. */
  decode(payload: string | Uint8Array): Frame | null;
  /** The answer to a poll. */
  decodeBatch(body: Uint8Array): Batch;
  /** The answer to one command by `POST /send`. */
  decodeAnswer(body: Uint8Array): Frame | null;
  encode(command: Command): Payload;
  /** One command as the body of `POST /send`. */
  encodeBody(command: Command): Payload;
}
