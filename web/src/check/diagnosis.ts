import type { TransportName } from "@tricast/client";
import { isBatched, isHeld, isLate, median, Times } from "./arrivals.ts";
import {
  type Figures,
  type Finding,
  isBlocked,
  isUsable,
  type Observation,
  type Uplink,
  type Verdict,
} from "./observation.ts";

const NAMES: Readonly<Record<TransportName, string>> = {
  ws: "the WebSocket",
  sse: "the event stream",
  poll: "the poll",
};

/** The one fault that explains what was seen best; the worst comes first. No I/O and no clock. */
export function diagnose(seen: Observation): Finding {
  return seen.arrivals.length === 0 ? withoutFrames(seen) : withFrames(seen, new Times(seen));
}

function withoutFrames(seen: Observation): Finding {
  const name = NAMES[seen.transport];
  const waited = seen.ended - seen.started;
  if (seen.status !== null) {
    const more = seen.error === "" ? "" : `: ${seen.error}`;
    return finding(seen, "refused", `${name} was refused with HTTP status ${seen.status}${more}.`, {
      status: seen.status,
    });
  }
  if (seen.end === "unreachable") return finding(seen, "unreachable", `no connection could be made: ${seen.error}.`);
  if (seen.opened === null && seen.end === "deadline")
    return finding(seen, "no_answer", `nothing at all came back within ${waited.toFixed(1)} s.`);
  if (seen.opened === null) {
    const why = seen.transport === "ws" ? "with which status, a browser is not told" : "why, a browser is not told";
    return finding(seen, "refused", `${name} was refused after ${ms(waited)}; ${why}.`);
  }
  const lived = seen.ended - seen.opened;
  if (seen.end !== "deadline" && lived < (seen.n * seen.interval) / 2) {
    const detail = `${name} opened and ended after ${lived.toFixed(1)} s before anything had come through.`;
    return finding(seen, "cut", detail, { cutAfter: lived });
  }
  if (seen.transport === "ws")
    return finding(seen, "silent", `the WebSocket opened, then nothing came through it for ${lived.toFixed(1)} s.`);
  return finding(
    seen,
    "headers_only",
    `the headers of ${name} came, but nothing of its body in ${lived.toFixed(1)} s.`,
  );
}

function withFrames(seen: Observation, times: Times): Finding {
  if (seen.transport === "poll") return polls(seen, times);
  if (isHeld(seen, times)) {
    const early = seen.opened !== null && times.first - seen.opened > times.span / 2;
    const what = early ? "its headers came at once, its content did not" : "even its headers came only then";
    const detail = `everything that the server sent over ${times.span.toFixed(1)} s came at one moment, when the stream ended; ${what}.`;
    return finding(seen, "buffered", detail);
  }
  if (isLate(seen, times)) {
    const late = median(times.lags).toFixed(2);
    const detail =
      "each message comes only when the next one is sent: the last one is missing until then. " +
      `Messages ${seen.interval} s apart were ${late} s late.`;
    return finding(seen, "late_by_one", detail);
  }
  if (seen.arrivals.length < seen.n) return broken(seen, times);
  const period = isBatched(seen, times);
  if (period !== null) {
    const detail = `messages come in batches, about every ${(period * 1000).toFixed(0)} ms.`;
    return finding(seen, "batched", detail, { period });
  }
  if (seen.echoSent && seen.echoed === null)
    return finding(
      seen,
      "uplink_blocked",
      "the server’s messages come through, but nothing that is sent arrives there.",
    );
  return finding(seen, "clean", clean(seen, times));
}

function polls(seen: Observation, times: Times): Finding {
  if (seen.arrivals.length >= seen.n) return finding(seen, "clean", clean(seen, times));
  const why = seen.error || "no answer in time";
  const detail = `${seen.arrivals.length} of ${seen.n} polls were answered, then one failed: ${why}.`;
  return finding(seen, "cut", detail, { cutAfter: seen.ended - times.last, status: seen.status });
}

function clean(seen: Observation, times: Times): string {
  const what = seen.transport === "poll" ? "polls were answered" : "frames came";
  const late = (Math.max(...times.lags) * 1000).toFixed(0);
  return `all ${seen.n} ${what} in time, at most ${late} ms later than the quickest.`;
}

function broken(seen: Observation, times: Times): Finding {
  const began = seen.opened ?? times.first;
  const came = `${seen.arrivals.length} of ${seen.n} frames had come`;
  if (seen.end === "deadline") {
    const lived = times.last - began;
    const detail = `${NAMES[seen.transport]} fell silent after ${lived.toFixed(1)} s without an end; ${came}.`;
    return finding(seen, "cut", detail, { cutAfter: lived });
  }
  const lived = seen.ended - began;
  const detail = `${NAMES[seen.transport]} was cut after ${lived.toFixed(1)} s; ${came}.`;
  return finding(seen, "cut", detail, { cutAfter: lived });
}

function finding(seen: Observation, verdict: Verdict, detail: string, more: Partial<Finding> = {}): Finding {
  return {
    transport: seen.transport,
    verdict,
    detail: sentence(detail),
    figures: figures(seen),
    status: null,
    period: null,
    cutAfter: null,
    idleCut: null,
    idlePassed: null,
    seen: seen.seen,
    ...more,
  };
}

function figures(seen: Observation): Figures {
  const times = seen.arrivals.length === 0 ? null : new Times(seen);
  return {
    frames: seen.arrivals.length,
    expected: seen.n,
    opened: seen.opened === null ? null : seen.opened - seen.started,
    first_frame: times === null ? null : times.first - seen.started,
    delay_median: times === null ? null : median(times.lags),
    delay_max: times === null ? null : Math.max(...times.lags),
    round_trip: seen.echoed,
  };
}

/** For a transport that sends by POST: one that can only be listened to is no whole one. */
export function withUplink(found: Finding, uplink: Uplink): Finding {
  if (found.transport === "ws" || !isUsable(found.verdict) || !isBlocked(uplink)) return found;
  const detail = `What the server sends comes through, but not what is sent to it: ${uplink.detail} ${found.detail}`;
  return { ...found, verdict: "uplink_blocked", detail };
}

/**
 * What a long run adds: `busy` had frames all the time, `idle` one frame, a long silence, then another. For long polls
 * there is no busy run, and the idle one is a single poll that was held for long.
 */
export function withEndurance(found: Finding, busy: Observation | null, idle: Observation): Finding {
  let finding = found;
  const long = busy === null ? null : diagnose(busy);
  if (long?.verdict === "cut") {
    const verdict = found.verdict === "clean" || found.verdict === "batched" ? "cut" : found.verdict;
    const { frames, expected } = long.figures;
    const detail = `${long.detail} It is cut in spite of traffic.`;
    finding = { ...found, verdict, detail, cutAfter: long.cutAfter, figures: { ...found.figures, frames, expected } };
  }
  const isPoll = idle.transport === "poll";
  if (idle.arrivals.length >= idle.n) return { ...finding, idlePassed: (idle.n - (isPoll ? 0 : 1)) * idle.interval };
  const last = Math.max(idle.started, ...idle.arrivals.map(({ arrived }) => arrived));
  const idleCut = idle.ended - last;
  finding = { ...finding, idleCut };
  if (finding.cutAfter !== null && idleCut >= 0.9 * finding.cutAfter) return finding; // the same cut, not one for silence
  const what = isPoll ? "A poll that waits" : "A silent connection";
  // Without an end it is not known when it died, only that nothing came through afterwards.
  const how = idle.end === "deadline" ? "is dead after" : "is cut after";
  return { ...finding, detail: `${finding.detail} ${what} ${how} ${idleCut.toFixed(1)} s.` };
}

const ms = (seconds: number): string =>
  seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;

const sentence = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1).replace("..", ".");
