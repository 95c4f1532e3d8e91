import type { TransportName } from "@tricast/client";

/**
 * How a run came to its end: as the server ends it; closed without a word; with an error; no connection was made; or
 * nothing happened until the patience was over.
 */
export type End = "ended" | "closed" | "failed" | "unreachable" | "deadline";

/** Frame `seq` left at `sent` by the server's clock and came at `arrived` by ours. The clocks need not agree. */
export interface Arrival {
  readonly seq: number;
  readonly sent: number;
  readonly arrived: number;
}

/** How a request looked to the server. */
export interface Seen {
  readonly address?: string;
  readonly http?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
}

/**
 * One run of `/canary/*`, in seconds: `n` frames were asked for, `interval` apart. `opened` is when the headers came
 * (for a WebSocket: when it opened). `echoed`: after how long a text came back that was sent as the first frame came;
 * for polls the quickest answer, without the time that it was held.
 */
export interface Observation {
  readonly transport: TransportName;
  readonly n: number;
  readonly interval: number;
  readonly started: number;
  readonly ended: number;
  readonly end: End;
  readonly opened: number | null;
  readonly status: number | null;
  readonly arrivals: readonly Arrival[];
  readonly echoSent: boolean;
  readonly echoed: number | null;
  readonly error: string;
  readonly seen: Seen | null;
}

/** The same names as `tricast probe` has. Those that are usable come first, the best of them first. */
export const WORDS = {
  clean: "clean",
  batched: "batched",
  cut: "cut off",
  late_by_one: "late by one",
  uplink_blocked: "uplink blocked",
  buffered: "buffered until close",
  headers_only: "headers only",
  silent: "opened but silent",
  refused: "refused",
  no_answer: "no answer",
  unreachable: "unreachable",
} as const;

export type Verdict = keyof typeof WORDS;

export const USABLE: readonly Verdict[] = ["clean", "batched", "cut", "late_by_one", "uplink_blocked"];

/** Whether messages get through at all. */
export const isUsable = (verdict: Verdict): boolean => USABLE.includes(verdict);

/** Seconds; null where it did not come to that. */
export interface Figures {
  readonly frames: number;
  readonly expected: number;
  readonly opened: number | null;
  readonly first_frame: number | null;
  readonly delay_median: number | null;
  readonly delay_max: number | null;
  readonly round_trip: number | null;
}

/** One transport judged; times in seconds. */
export interface Finding {
  readonly transport: TransportName;
  readonly verdict: Verdict;
  /** A sentence for people. */
  readonly detail: string;
  readonly figures: Figures;
  /** Of the answer that refused. */
  readonly status: number | null;
  /** From batch to batch. */
  readonly period: number | null;
  /** How long it lived. */
  readonly cutAfter: number | null;
  /** Silence (for polls: waiting for an answer) after which it was cut, and silence that was seen to pass. */
  readonly idleCut: number | null;
  readonly idlePassed: number | null;
  readonly seen: Seen | null;
}

/** Whether `POST /send` arrives. `ownWord`: it was the server itself which refused. */
export interface Uplink {
  readonly verdict: Verdict;
  readonly detail: string;
  readonly status: number | null;
  readonly roundTrip: number | null;
  readonly ownWord: boolean;
}

/** Whether something in between keeps back what is sent. */
export const isBlocked = (uplink: Uplink): boolean => uplink.verdict !== "clean" && !uplink.ownWord;
