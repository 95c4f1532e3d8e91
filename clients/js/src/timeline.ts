/** What a client has tried and seen, for people and for tests. */

import { now } from "./time.js";
import type { TransportName } from "./wire/messages.js";

const RECORDS_KEPT = 1000;

export type What =
  | "try" // a link is opened
  | "reopen" // the same one anew
  | "hello" // its first frame has come
  | "echo" // and something that was sent came back
  | "no echo"
  | "up" // it carries from now on
  | "close" // it is not needed, or not any more
  | "failed" // it ended before it carried
  | "lost" // it ended after that
  | "bye" // the server will end it
  | "refused" // the server will not have it
  | "uplink" // whether what is sent arrives
  | "quarantine" // it was cut too often
  | "online" // the server can be reached, though nothing worked
  | "offline" // it cannot
  | "wait" // before the next round
  | "pause" // all links are closed, since the network or the page is away
  | "resume" // it is back
  | "wake"; // the page or the machine was asleep

/** `t` is in seconds since connect; `transport` null is all of them; `detail` is for people. */
export interface TimelineRecord {
  t: number;
  transport: TransportName | null;
  what: What;
  detail: string;
}

/** The last records, oldest first. */
export class Timeline {
  readonly records: TimelineRecord[] = [];
  readonly #start = now();
  readonly #onRecord: (record: TimelineRecord) => void;

  constructor(onRecord: (record: TimelineRecord) => void) {
    this.#onRecord = onRecord;
  }

  get elapsed(): number {
    return now() - this.#start;
  }

  note(transport: TransportName | null, what: What, detail: string): void {
    const record = { t: Number(this.elapsed.toFixed(6)), transport, what, detail };
    this.records.push(record);
    if (this.records.length > RECORDS_KEPT) this.records.shift();
    this.#onRecord(record);
  }

  toString(): string {
    return this.records
      .map(({ t, transport, what, detail }) => `${t} s  ${transport ?? "all"}  ${what}  ${detail}`)
      .join("\n");
  }
}

/** Numbers since connect. */
export interface Stats {
  received: number;
  /** Gaps that are exact, so that something was lost for certain. */
  lost: number;
  /** Messages that were delivered twice or out of order, which is a defect. */
  duplicated: number;
  /** Messages that came again and were not delivered. */
  duplicatesDropped: number;
  /** Gaps that were delivered. */
  gaps: number;
  /** Links that came up after one was lost. */
  reconnects: number;
  /** How often another transport took over. */
  switches: number;
  /** Seconds until the first transport worked, null before that. */
  timeToFirst: number | null;
  /** Bytes of text as the page saw them, without what HTTP and WebSocket put around. */
  bytesReceived: number;
  bytesSent: number;
}
