import type { TransportName } from "@tricast/client";
import { TRANSPORTS } from "../ui/transports.ts";
import { type Finding, isBlocked, isUsable, type Uplink, USABLE } from "./observation.ts";

const POLL_WAIT = 25;
const HEARTBEAT = 15;
/** The share of a limit that is kept to. */
const SAFE = 0.8;

const STRENGTH: Readonly<Record<TransportName, string>> = {
  ws: "one connection, both ways, with the least delay",
  sse: "a stream of plain HTTP; what is sent goes by POST",
  poll: "plain HTTP requests that pass where no stream does, with a little more delay and traffic",
};
const PATHS: Readonly<Record<TransportName, string>> = { ws: "/ws", sse: "/sse", poll: "/poll" };

export type Findings = Readonly<Record<TransportName, Finding>>;

/** A transport that can be used, and why it stands where it stands. */
export interface Choice {
  readonly transport: TransportName;
  readonly reason: string;
}

/** Those that can be used, the best first. */
export function recommend(findings: Findings): Choice[] {
  return TRANSPORTS.map((name) => findings[name])
    .filter(({ verdict }) => isUsable(verdict))
    .toSorted((a, b) => USABLE.indexOf(a.verdict) - USABLE.indexOf(b.verdict)) // of equals the richer one stays in front
    .map((found) => ({ transport: found.transport, reason: reason(found) }));
}

function reason(found: Finding): string {
  switch (found.verdict) {
    case "clean":
      return `works as it should: ${STRENGTH[found.transport]}`;
    case "batched":
      return `works, but holds messages up to ${((found.period ?? 0) * 1000).toFixed(0)} ms`;
    case "cut":
      return `works for ${(found.cutAfter ?? 0).toFixed(0)} s at a time; the client comes back and loses nothing`;
    case "late_by_one":
      return "a last resort: the newest message waits for the next one, or for a heartbeat";
    default:
      return "only to listen: nothing can be sent";
  }
}

/** Seconds that a long poll may be held here. */
export function pollWait({ poll }: Findings): number {
  return below(least([poll.idleCut, poll.cutAfter]), POLL_WAIT);
}

/** Seconds of silence after which the server should send something, so that streams live on here. */
export function heartbeat(findings: Findings): number {
  const streams = [findings.ws, findings.sse].filter(({ verdict }) => isUsable(verdict));
  const isLate = streams.some(({ verdict }) => verdict === "late_by_one");
  return below(least(streams.map(({ idleCut }) => idleCut)) / 2, isLate ? 5 : HEARTBEAT);
}

const least = (limits: (number | null)[]): number =>
  Math.min(Number.POSITIVE_INFINITY, ...limits.filter((limit) => limit !== null));

function below(limit: number, most: number): number {
  const safe = limit * SAFE;
  return safe >= most ? most : Math.max(1, Math.floor(safe));
}

/** Lines for whoever runs the network or the proxy, without repetition. `authority` is host:port of the server. */
export function advise(findings: Findings, uplink: Uplink, authority: string): string[] {
  const found = TRANSPORTS.map((name) => findings[name]);
  if (found.every(({ verdict }) => verdict === "unreachable"))
    return [
      `No connection to ${authority} could be made. Check that the server runs, and that no firewall stands in between.`,
    ];
  const lines = found.flatMap((finding) => [...forFinding(finding, authority), ...forSilence(finding)]);
  if (isBlocked(uplink) && found.some(({ verdict }) => isUsable(verdict)))
    lines.push(`Let POST requests to ${authority} pass (path /send, Content-Type: application/json).`);
  if (found.some(({ seen }) => seen?.http === "1.0"))
    lines.push("A proxy speaks HTTP/1.0 to the server. nginx: proxy_http_version 1.1;");
  return [...new Set(lines)];
}

function forSilence(found: Finding): string[] {
  if (found.idleCut === null || found.idleCut >= HEARTBEAT * 2 || found.transport === "poll") return [];
  const beat = below(found.idleCut / 2, HEARTBEAT);
  return [
    `Connections are cut after ${found.idleCut.toFixed(0)} s of silence. Raise that to 60 s or more (nginx: proxy_read_timeout; HAProxy: timeout client, server and tunnel; Apache: ProxyTimeout), or have the server send a heartbeat every ${beat} s.`,
  ];
}

function forFinding(found: Finding, authority: string): string[] {
  const { transport, verdict } = found;
  switch (verdict) {
    case "refused":
      return forRefusal(found, authority);
    case "silent":
      return [
        `Something accepts WebSockets and passes nothing on, often a filter that inspects content. Exempt ${authority} from inspection, or refuse the upgrade at once, so that clients need not wait.`,
      ];
    case "buffered":
    case "headers_only":
      return [
        "Pass event streams (text/event-stream) on as they come. nginx: proxy_buffering off; or do not ignore the header X-Accel-Buffering: no, which the server sends. lighttpd: server.stream-response-body = 1; Caddy: flush_interval -1 and no response buffers.",
        "Do not compress text/event-stream: a compressor holds it until its buffer is full.",
      ];
    case "late_by_one":
      return [
        `A filter (antivirus, content inspection) keeps each piece of a response until the next one comes. Exempt ${authority} or text/event-stream from it.`,
      ];
    case "batched":
      return [
        `Something collects small writes for about ${((found.period ?? 0) * 1000).toFixed(0)} ms. HAProxy: option http-no-delay; others: switch off Nagle’s algorithm (TCP_NODELAY) and response buffers.`,
      ];
    case "cut":
      return [
        `Connections are cut after ${(found.cutAfter ?? 0).toFixed(0)} s in spite of traffic. Take the limit off for streams. Envoy: timeout: 0s on the route; HAProxy: timeout tunnel 1h; nginx: proxy_read_timeout 1h;`,
      ];
    case "uplink_blocked":
      return transport === "ws"
        ? [`What clients send over a WebSocket does not arrive. Exempt ${authority} from inspection.`]
        : [];
    case "no_answer":
      return transport === "ws"
        ? [
            `Something accepts WebSockets and never answers. Exempt ${authority} from inspection, or refuse the upgrade at once.`,
          ]
        : [`Requests for ${PATHS[transport]} are not answered. Let them pass to ${authority}.`];
    default:
      return [];
  }
}

function forRefusal(found: Finding, authority: string): string[] {
  if (found.transport !== "ws") {
    const how = found.status === null ? "" : ` with status ${found.status}`;
    return [`GET requests for ${PATHS[found.transport]} are refused${how}. Let them pass to ${authority}.`];
  }
  return [
    'Pass on the upgrade of WebSockets. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; Apache: ProxyPass ... upgrade=websocket; lighttpd: proxy.header = ("upgrade" => "enable"); Envoy: upgrade_configs; Varnish: return (pipe).',
    `A forward proxy has to allow CONNECT to ${authority}, or the server be moved to port 443.`,
  ];
}
