/** What a race of transports may ask for: plain values, with reasons for people. */

import type { TransportName } from "./wire/messages.js";

/** Open a link, at the cursor of now. One of the same transport that is open is closed. */
export interface Open {
  do: "open";
  transport: TransportName;
  why: string;
}

/** Send an echo, and tell `onProven` or `onUnproven`. */
export interface Prove {
  do: "prove";
  transport: TransportName;
}

/** What this one brings is delivered from now on, and nothing else. */
export interface Carry {
  do: "carry";
  transport: TransportName;
  why: string;
}

export interface Close {
  do: "close";
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

export type Action = Open | Prove | Carry | Close | CheckOnline | Note;
