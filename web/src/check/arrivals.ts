import type { Observation } from "./observation.ts";

// As shares of the interval between frames.
const TOGETHER = 0.3; // frames nearer to one another than this came at once
const BATCH_LEAST = 1.3; // batches nearer to one another than this are not told from jitter
const LATE = [0.6, 1.5] as const; // a frame so late came when the next one was sent
/** Of what is looked at, so much has to fit: a stall or two do not hide a pattern, and jitter does not make one. */
const MOST = 0.75;
/** How far the distance of two batches may be from the usual one, as a share of it. */
const REGULAR = 0.2;

/** When frames were sent and came, and `lags`: how much longer than the quickest thing each was on its way. */
export class Times {
  readonly sent: readonly number[];
  readonly arrived: readonly number[];
  readonly lags: readonly number[];

  constructor(seen: Observation) {
    const arrivals = seen.arrivals.toSorted((a, b) => a.seq - b.seq);
    this.sent = arrivals.map(({ sent }) => sent);
    this.arrived = arrivals.map(({ arrived }) => arrived);
    const ways = arrivals.map(({ sent, arrived }) => arrived - sent);
    const all = [...ways];
    // The headers leave together with the first frame. They tell apart "always late" and "far away".
    if (seen.opened !== null && seen.transport !== "poll" && arrivals[0]?.seq === 0)
      all.push(seen.opened - arrivals[0].sent);
    const quickest = Math.min(...all);
    this.lags = ways.map((way) => way - quickest);
  }

  get first(): number {
    return Math.min(...this.arrived);
  }

  get last(): number {
    return this.arrived.at(-1) ?? 0;
  }

  get span(): number {
    return (this.sent.at(-1) ?? 0) - (this.sent[0] ?? 0);
  }
}

/** Whether everything came at one moment. */
export function isHeld(seen: Observation, times: Times): boolean {
  const came = times.last - (times.arrived[0] ?? 0);
  return times.sent.length >= 3 && times.span >= 2 * seen.interval && came <= times.span / 4;
}

/** Whether each frame came with the next one. */
export function isLate(seen: Observation, times: Times): boolean {
  if (times.sent.length < 4) return false;
  const isComplete = seen.arrivals.length >= seen.n;
  // The end of the stream sets the last frame free, so that it comes with the one before; or it never comes.
  if (isComplete && times.last - (times.arrived.at(-2) ?? 0) > TOGETHER * seen.interval) return false;
  const steps = gaps(times.sent);
  const fits = steps.map((step, place) => {
    const lag = times.lags[place] ?? 0;
    return LATE[0] * step <= lag && lag <= LATE[1] * step;
  });
  // A stream that was cut also has a last frame; only if it is as late as the others they are all "late by one".
  return share(fits) >= MOST && (isComplete || seen.n - times.sent.length === 1);
}

/** Seconds from batch to batch, null where there are none. */
export function isBatched(seen: Observation, times: Times): number | null {
  const starts = times.arrived.filter(
    (arrived, place) => place === 0 || arrived - (times.arrived[place - 1] ?? 0) > TOGETHER * seen.interval,
  );
  const between = gaps(starts);
  if (between.length === 0) return null;
  const usual = median(between);
  if (usual < BATCH_LEAST * seen.interval || starts.length * BATCH_LEAST > times.arrived.length) return null;
  // The end of the stream may set the last batch free before its time.
  const inner = between.length > 2 ? between.slice(0, -1) : between;
  const regular = inner.map((gap) => Math.abs(gap / usual - Math.max(1, Math.round(gap / usual))) <= REGULAR);
  return share(regular) >= MOST ? median(inner) : null;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] ?? 0;
  return ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, place) => time - (times[place] ?? 0));

const share = (fits: readonly boolean[]): number => fits.filter(Boolean).length / Math.max(1, fits.length);
