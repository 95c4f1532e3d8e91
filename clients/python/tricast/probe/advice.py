"""What follows from the findings: which transports to use, and what to change on the way. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tricast.probe.observation import USABLE, Finding, Uplink, Verdict
from tricast.wire.messages import TransportName

POLL_WAIT = 25.0
HEARTBEAT = 15.0
_SAFE = 0.8
"""The share of a limit that is kept to."""

_STRENGTH = {
    "ws": "one connection, both ways, with the least delay",
    "sse": "a stream of plain HTTP; what is sent goes by POST",
    "poll": "plain HTTP requests that pass where no stream does, with a little more delay and traffic",
}

Findings = Mapping[TransportName, Finding]


@dataclass(frozen=True, slots=True)
class Choice:
    """A transport that can be used, and why it stands where it stands."""

    transport: TransportName
    reason: str


def recommend(findings: Findings) -> tuple[Choice, ...]:
    """Those that can be used, the best first."""
    ways: tuple[TransportName, ...] = ("ws", "sse", "poll")
    usable = [findings[way] for way in ways if way in findings and findings[way].verdict.usable]
    # Sorting is stable: of equals the richer one stays in front.
    return tuple(Choice(found.transport, _reason(found)) for found in sorted(usable, key=_badness))


def _badness(found: Finding) -> int:
    return USABLE.index(found.verdict)


def _reason(found: Finding) -> str:
    strength = _STRENGTH[found.transport]
    match found.verdict:
        case Verdict.clean:
            return f"works as it should: {strength}"
        case Verdict.batched:
            return f"works, but holds messages up to {(found.period or 0) * 1000:.0f} ms"
        case Verdict.cut:
            return f"works for {found.cut_after or 0:.0f} s at a time; the client comes back and loses nothing"
        case Verdict.late_by_one:
            return "a last resort: the newest message waits for the next one, or for a heartbeat"
    return "only to listen: nothing can be sent"


def poll_wait(findings: Findings) -> float:
    """Seconds that a long poll may be held here."""
    found = findings.get("poll")
    limits = [] if found is None else [limit for limit in (found.idle_cut, found.cut_after) if limit is not None]
    return _below(min(limits, default=math.inf), POLL_WAIT)


def heartbeat(findings: Findings) -> float:
    """Seconds of silence after which the server should send something, so that streams live on here."""
    streams = [found for found in findings.values() if found.transport != "poll" and found.verdict.usable]
    limit = min((found.idle_cut for found in streams if found.idle_cut is not None), default=math.inf)
    late = any(found.verdict is Verdict.late_by_one for found in streams)
    return _below(limit / 2, 5.0 if late else HEARTBEAT)


def _below(limit: float, most: float) -> float:
    safe = limit * _SAFE
    return most if safe >= most else max(1.0, float(math.floor(safe)))


def advise(findings: Findings, uplink: Uplink | None, authority: str) -> tuple[str, ...]:
    """Lines for whoever runs the network or the proxy, without repetition. `authority` is host:port of the server."""
    if all(found.verdict is Verdict.unreachable for found in findings.values()):
        return (
            f"No connection to {authority} could be made. Check that the server runs, that the name and the port are "
            "right, and that no firewall stands in between.",
        )
    lines: list[str] = []
    for found in findings.values():
        lines += _for_finding(found, authority)
    if uplink is not None and uplink.blocked and any(found.verdict.usable for found in findings.values()):
        lines.append(f"Let POST requests to {authority} pass (path /send, Content-Type: application/json).")
    elif uplink is not None and uplink.own_word:
        lines.append("The server itself refused to take what was sent; a token (--token) may be needed for that.")
    if any(_spoke_http_1_0(found) for found in findings.values()):
        lines.append("A proxy speaks HTTP/1.0 to the server. nginx: proxy_http_version 1.1;")
    return tuple(dict.fromkeys(lines))


def _for_finding(found: Finding, authority: str) -> Sequence[str]:
    lines = list(_for_refusal(found, authority) if found.verdict is Verdict.refused else _for_fault(found, authority))
    if found.idle_cut is not None and found.idle_cut < HEARTBEAT * 2 and found.transport != "poll":
        lines.append(
            f"Connections are cut after {found.idle_cut:.0f} s of silence. Raise that to 60 s or more "
            "(nginx: proxy_read_timeout; HAProxy: timeout client, server and tunnel; Apache: ProxyTimeout), "
            f"or have the server send a heartbeat every {heartbeat({found.transport: found}):.0f} s."
        )
    return lines


def _for_refusal(found: Finding, authority: str) -> Sequence[str]:
    if found.status == 407:
        return ("The proxy wants a login. Put it into http_proxy and https_proxy: http://user:password@proxy:port",)
    if found.status in (401, 429, 503):
        return (f"Status {found.status} may be the server's own word: it wants a login, or is too busy now.",)
    if found.transport != "ws":
        status = "without an answer" if found.status is None else f"with status {found.status}"
        return (
            f"GET requests for {_PATHS[found.transport]} are refused {status}. Let them pass to {authority}, and check "
            "that the address is that of a tricast server, with its path if it has one.",
        )
    return (
        *(
            (f"A forward proxy has to allow CONNECT to {authority}, or the server be moved to port 443.",)
            * _denied(found)
        ),
        "Pass on the upgrade of WebSockets. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";',
        "The same for Apache: ProxyPass ... upgrade=websocket; Squid: http_upgrade_request_protocols "
        'websocket allow all; lighttpd: proxy.header = ("upgrade" => "enable"); Envoy: upgrade_configs; '
        "Varnish: return (pipe).",
    )


_PATHS = {"ws": "/ws", "sse": "/sse", "poll": "/poll"}


def _denied(found: Finding) -> bool:
    return found.status in (403, 405, 501)


def _for_fault(found: Finding, authority: str) -> Sequence[str]:
    match found.verdict, found.transport:
        case ((Verdict.silent | Verdict.no_answer), "ws"):
            return (
                "Something accepts WebSockets and passes nothing on, often a filter that inspects content. Exempt "
                f"{authority} from inspection, or refuse the upgrade at once, so that clients need not wait.",
            )
        case ((Verdict.buffered | Verdict.headers_only), _):
            return (
                "Pass event streams (text/event-stream) on as they come. nginx: proxy_buffering off; or do not "
                "ignore the header X-Accel-Buffering: no, which the server sends. lighttpd: "
                "server.stream-response-body = 1; Caddy: flush_interval -1 and no response buffers.",
                "Do not compress text/event-stream: a compressor holds it until its buffer is full.",
            )
        case Verdict.late_by_one, _:
            return (
                "A filter (antivirus, content inspection) keeps each piece of a response until the next one comes. "
                f"Exempt {authority} or text/event-stream from it.",
            )
        case Verdict.batched, _:
            return (
                f"Something collects small writes for about {(found.period or 0) * 1000:.0f} ms. HAProxy: option "
                "http-no-delay; others: switch off Nagle's algorithm (TCP_NODELAY) and response buffers.",
            )
        case Verdict.cut, _:
            return (
                f"Connections are cut after {found.cut_after or 0:.0f} s in spite of traffic. Take the limit off for "
                "streams. Envoy: timeout: 0s on the route; HAProxy: timeout tunnel 1h; nginx: proxy_read_timeout 1h;",
            )
        case Verdict.uplink_blocked, "ws":
            return (f"What clients send over a WebSocket does not arrive. Exempt {authority} from inspection.",)
        case ((Verdict.no_answer | Verdict.unreachable), _):
            return (f"Requests for {_PATHS[found.transport]} are not answered. Let them pass to {authority}.",)
    return ()


def _spoke_http_1_0(found: Finding) -> bool:
    return found.seen is not None and found.seen.get("http") == "1.0"
