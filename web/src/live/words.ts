import { NAMES } from "../ui/transports.ts";
import type { Mode, TimelineRecord } from "./line.ts";

/** `quiet`: only for those who look closely. */
export type Tone = "quiet" | "plain" | "good" | "bad";

export interface Told {
  readonly text: string;
  readonly tone: Tone;
}

/** Says in plain words what the client has seen and done. One per bus: it remembers when things were tried. */
export class Narrator {
  #tried = new Map<string, number>();
  #carries = false;

  tell(record: TimelineRecord, mode: Mode): Told {
    const { transport, what, detail, t } = record;
    const name = transport === null ? "" : NAMES[transport];
    const why = sentence(detail);
    switch (what) {
      case "try":
      case "reopen":
        this.#tried.set(name, t);
        if (this.#carries && mode === "auto") return quiet(`Looking for ${name} again, while messages go on.`);
        return quiet(`Trying ${name}${what === "reopen" ? " again" : ""}.`);
      case "hello":
        return quiet(`${name} opened.`);
      case "echo":
        return quiet(`${name} passes both ways: an echo ${detail || "came back"}.`);
      case "no echo":
        return bad(`Nothing that is sent over ${name} comes back. ${why}`);
      case "up": {
        const tried = this.#tried.get(name);
        this.#carries = true;
        return {
          text: `${name} works${tried === undefined ? "" : `, ${ms(t - tried)} after it was tried`}.`,
          tone: "good",
        };
      }
      case "close":
        return quiet(`${name} closed. ${why}`);
      case "failed":
        return bad(`${name} did not work. ${why}`);
      case "lost":
        this.#carries = false;
        return bad(`${name} was lost. ${why}`);
      case "bye":
        return { text: `The server is going away (${detail}).`, tone: "bad" };
      case "refused":
        return bad(`The server refused. ${why}`);
      case "uplink":
        return detail === "ok" ? { text: "Sending works again.", tone: "good" } : bad(`Sending is blocked. ${why}`);
      case "quarantine":
        return bad(`${name} is left alone for a while. ${why}`);
      case "online":
        return bad("The server can be reached, but no transport gets through.");
      case "offline":
        return bad("Nothing answers: this looks like being offline, so nothing is held against any transport.");
      case "pause":
        this.#carries = false;
        return { text: `All connections are closed for now: ${detail}.`, tone: "plain" };
      case "resume":
        return { text: `Going on at the cursor: ${detail}.`, tone: "plain" };
      case "wake":
        return quiet(`Looking after the connections: ${detail}.`);
      case "wait":
        return {
          text: `${this.#carries ? "Looking for something better" : "Trying again"} in ${wait(detail)}.`,
          tone: "plain",
        };
      default:
        return quiet(`${name} ${what} ${detail}`.trim());
    }
  }
}

const quiet = (text: string): Told => ({ text: text.trim(), tone: "quiet" });
const bad = (text: string): Told => ({ text: text.trim(), tone: "bad" });
const ms = (seconds: number): string => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

/** "1.23 s" without more digits than anybody wants. */
function wait(detail: string): string {
  const seconds = Number.parseFloat(detail);
  return Number.isFinite(seconds) ? ms(seconds) : detail;
}

function sentence(text: string): string {
  if (text === "") return "";
  const begun = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

const LOSS: Readonly<Record<string, string>> = {
  expired: "is no longer kept",
  slow: "came faster than it could be read",
  epoch: "was in a log that the server no longer has",
};

/** What a gap means. */
export function gapWords(gap: { topics: readonly string[]; reason: string; exact: boolean }): string {
  const part = gap.exact ? "Part" : "Perhaps part";
  return `${part} of ${gap.topics.join(", ")} ${LOSS[gap.reason] ?? gap.reason}. The bus says so, instead of going on in silence.`;
}
