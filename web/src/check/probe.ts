import type { TransportName } from "@tricast/client";
import { TRANSPORTS } from "../ui/transports.ts";
import type { Findings } from "./advice.ts";
import { Canary, type Series } from "./canary.ts";
import { diagnose, withEndurance, withUplink } from "./diagnosis.ts";
import { type Arrival, type Finding, isUsable, type Observation, type Uplink } from "./observation.ts";
import { Report } from "./report.ts";
import { checkUplink } from "./uplink.ts";

export const FRAMES = 30;
export const POLLS = 5;
/** Seconds. */
export const INTERVAL = 0.1;
export const PATIENCE = 2.5;
export const QUICK = FRAMES * INTERVAL + PATIENCE;
/** Seconds that the long run takes, and how much of them is silence. */
export const LONG = 70;
const IDLE = 0.85 * LONG;
const BUSY_FRAMES = 35;

export interface ProbeEvents {
  arrival: (transport: TransportName, arrival: Arrival) => void;
  found: (finding: Finding) => void;
  uplink: (uplink: Uplink) => void;
  /** The long run has begun. */
  long: () => void;
}

/** What the network between here and the server does to each transport. Never rejects. */
export async function probe(url: URL, isLong: boolean, on: ProbeEvents): Promise<Report> {
  const [at, start] = [Date.now() / 1000, performance.now()];
  const quick = async (name: TransportName): Promise<Finding> => {
    // Polls come one after the other, each in its own time: a few fill the same time as the stream.
    const n = name === "poll" ? POLLS : FRAMES;
    const series: Series = { n, interval: (FRAMES * INTERVAL) / n, patience: PATIENCE };
    const found = diagnose(await new Canary(url, series, (arrival) => on.arrival(name, arrival)).observe(name));
    on.found(found);
    return found;
  };
  const uplinked = checkUplink(url, QUICK).then((uplink) => {
    on.uplink(uplink);
    return uplink;
  });
  let findings = byTransport(await Promise.all(TRANSPORTS.map(quick)));
  let uplink = await uplinked;
  if (isLong) {
    on.long();
    findings = byTransport(await Promise.all(TRANSPORTS.map((name) => endure(url, findings[name]))));
  }
  const all = TRANSPORTS.map((name) => findings[name]);
  if (!all.some(({ verdict }) => isUsable(verdict))) {
    // Where nothing passes the other way either, silence is no fault of the uplink.
    if (uplink.verdict === "uplink_blocked" && uplink.status === null) uplink = { ...uplink, verdict: "no_answer" };
    if (!(await answers(url))) findings = byTransport(all.map(unreachable));
  }
  findings = byTransport(TRANSPORTS.map((name) => withUplink(findings[name], uplink)));
  return new Report(url, at, (performance.now() - start) / 1000, findings, uplink);
}

async function endure(url: URL, found: Finding): Promise<Finding> {
  if (!isUsable(found.verdict)) return found;
  const run = (n: number, interval: number, patience: number): Promise<Observation> =>
    new Canary(url, { n, interval, patience }).observe(found.transport);
  if (found.transport === "poll") return withEndurance(found, null, await run(1, IDLE, PATIENCE));
  const [busy, idle] = await Promise.all([
    run(BUSY_FRAMES, LONG / BUSY_FRAMES, PATIENCE),
    // The second frame is due after `IDLE`; two intervals are never waited for.
    run(2, IDLE, PATIENCE - IDLE),
  ]);
  return withEndurance(found, busy, idle);
}

/** A browser is not told whether a connection was refused or never made; that nothing else answers tells. */
async function answers(url: URL): Promise<boolean> {
  try {
    await fetch(new URL("healthz", url), { cache: "no-store", mode: "no-cors", signal: AbortSignal.timeout(2000) });
    return true;
  } catch {
    return false;
  }
}

function unreachable(found: Finding): Finding {
  if (found.verdict !== "refused" || found.status !== null) return found;
  return { ...found, verdict: "unreachable", detail: "No connection could be made." };
}

const byTransport = (findings: readonly Finding[]): Findings =>
  Object.fromEntries(findings.map((found) => [found.transport, found])) as Record<TransportName, Finding>;
