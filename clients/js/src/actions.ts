/** What a race of transports may ask for: plain values, with reasons for people. */

import type { TransportName } from "./wire/messages.js";

/**
 * - "open" a link, at the cursor of now. One of the same transport that is open is closed.
 * - "prove" it: send an echo, and tell `onProven` or `onUnproven`.
 * - "carry": what this one brings is delivered from now on, and nothing else.
 * - "close" it.
 */
export interface Step {
  do: "open" | "prove" | "carry" | "close";
  transport: TransportName;
  why: string;
}

/** Ask the server for a sign of life, and tell `onOnline`. */
export interface CheckOnline {
  do: "check";
}

/** For people only. */
export interface Note {
  do: "note";
  transport: TransportName | null;
  what: "wait" | "online" | "offline" | "quarantine" | "uplink";
  detail: string;
}

export type Action = Step | CheckOnline | Note;
