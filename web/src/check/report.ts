import type { TransportName } from "@tricast/client";
import { NAMES, TRANSPORTS } from "../ui/transports.ts";
import { advise, type Choice, type Findings, heartbeat, pollWait, recommend } from "./advice.ts";
import { type Finding, isUsable, type Seen, type Uplink, WORDS } from "./observation.ts";

/** All that a check found, as one value, as JSON of the same shape as `tricast probe --json`, and as text. */
export class Report {
  readonly url: string;
  readonly authority: string;
  readonly at: number;
  readonly took: number;
  readonly findings: Findings;
  readonly uplink: Uplink;

  constructor(url: URL, at: number, took: number, findings: Findings, uplink: Uplink) {
    this.url = url.href;
    this.authority = url.host;
    this.at = at;
    this.took = took;
    this.findings = findings;
    this.uplink = uplink;
  }

  /** Whether anything answered at all, be it a refusal. */
  get isReachable(): boolean {
    return TRANSPORTS.some((name) => !["unreachable", "no_answer"].includes(this.findings[name].verdict));
  }

  get order(): Choice[] {
    return recommend(this.findings);
  }

  get advice(): string[] {
    return advise(this.findings, this.uplink, this.authority);
  }

  get pollWait(): number {
    return pollWait(this.findings);
  }

  get heartbeat(): number {
    return heartbeat(this.findings);
  }

  /** How the requests looked to the server, by the first transport that came to know. */
  get seen(): Seen | null {
    return TRANSPORTS.map((name) => this.findings[name].seen).find((seen) => seen !== null) ?? null;
  }

  /** The result in one sentence. */
  get headline(): string {
    const { order } = this;
    if (!this.isReachable) return "The server does not answer.";
    if (order.length === 0) return "The server answers, but no transport gets a message through.";
    if (TRANSPORTS.every((name) => this.findings[name].verdict === "clean")) return "Everything works here.";
    const broken = TRANSPORTS.filter((name) => this.findings[name].verdict !== "clean");
    const faults = broken.map((name) => `${NAMES[name]}: ${WORDS[this.findings[name].verdict]}`).join("; ");
    return `${faults}. ${order[0] ? `${NAMES[order[0].transport]} comes first here.` : ""}`;
  }

  toJSON(): unknown {
    const transports = TRANSPORTS.map((name) => [name, json(this.findings[name])]);
    const { verdict, detail, status, roundTrip } = this.uplink;
    return {
      format: 1,
      url: this.url,
      at: Number(this.at.toFixed(3)),
      took: Number(this.took.toFixed(3)),
      proxy: null,
      reachable: this.isReachable,
      works: this.order.length > 0,
      transports: Object.fromEntries(transports),
      uplink: { verdict, detail, status, round_trip: rounded(roundTrip) },
      order: this.order,
      poll_wait: this.pollWait,
      heartbeat: this.heartbeat,
      seen: this.seen,
      advice: this.advice,
      browser: navigator.userAgent,
    };
  }

  toText(): string {
    const when = new Date(this.at * 1000).toISOString().slice(0, 19).replace("T", " ");
    const found = (name: TransportName) => {
      const { verdict, detail } = this.findings[name];
      return `- ${NAMES[name]}: ${WORDS[verdict]}. ${detail}`;
    };
    const lines = [
      `tricast check of ${this.url}, ${when} UTC, ${this.took.toFixed(1)} s`,
      "",
      this.headline,
      "",
      ...TRANSPORTS.map(found),
      `- POST /send: ${WORDS[this.uplink.verdict]}. ${this.uplink.detail}`,
    ];
    if (this.order.length > 0) {
      lines.push("", "Recommended order");
      lines.push(...this.order.map(({ transport, reason }, place) => `${place + 1}. ${NAMES[transport]}: ${reason}`));
      lines.push(this.times);
    }
    if (this.advice.length > 0)
      lines.push("", "For whoever runs the network or the proxy", ...this.advice.map((line) => `- ${line}`));
    return `${lines.join("\n")}\n`;
  }

  get times(): string {
    return `A poll should wait ${this.pollWait} s at most, and silent streams carry a heartbeat every ${this.heartbeat} s.`;
  }
}

function json(found: Finding): unknown {
  const latency = Object.fromEntries(Object.entries(found.figures).map(([name, value]) => [name, rounded(value)]));
  return {
    verdict: found.verdict,
    usable: isUsable(found.verdict),
    detail: found.detail,
    status: found.status,
    period: rounded(found.period),
    cut_after: rounded(found.cutAfter),
    idle_cut: rounded(found.idleCut),
    idle_passed: rounded(found.idlePassed),
    latency,
    seen: found.seen,
  };
}

const rounded = (value: number | null): number | null => (value === null ? null : Number(value.toFixed(5)));
