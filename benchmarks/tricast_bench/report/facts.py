"""What is known of the transports without measuring: how each works on this bus, and what real proxies do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tricast_bench.results import Transport

PROXIES_SOURCE = "docs/proxies.md, measured 2026-11-22"
PROXIES_ALL = 21
"""Configurations there: 17 in front of the server, 4 in front of the clients."""
PROXIES_PASSED: Mapping[Transport, int] = {"ws": 12, "sse": 16, "poll": 20}
PROXIES_IN_WORDS: Mapping[Transport, str] = {
    "ws": "refused wherever the upgrade is not passed on, as in most defaults",
    "sse": "held where responses are buffered to their end, in batches behind HAProxy’s defaults",
    "poll": "failed only where nothing passed at all",
}

FACTS: Sequence[tuple[str, Mapping[Transport, str]]] = (
    (
        "Protocol",
        {
            "ws": "RFC 6455: an HTTP request upgraded to frames, on a connection of its own",
            "sse": "One HTTP response that does not end, text/event-stream",
            "poll": "One HTTP request for each answer, held until there is something",
        },
    ),
    (
        "Direction",
        {
            "ws": "Both ways on one connection",
            "sse": "Down; up by POST",
            "poll": "Down; up by POST",
        },
    ),
    (
        "Binary",
        {
            "ws": "Has binary frames: protobuf with bytes as they are; in JSON as base64",
            "sse": "No: UTF-8 text only; bytes as base64",
            "poll": "Any body can be: protobuf with bytes as they are; in JSON as base64",
        },
    ),
    (
        "Reconnect",
        {
            "ws": "Left to the client, which goes on after its cursor",
            "sse": "Built into browsers; Last-Event-ID is the cursor",
            "poll": "Every request is one; the cursor is in its query",
        },
    ),
    (
        "Proxies passed",
        {
            name: f"{passed} of {PROXIES_ALL} configurations; {PROXIES_IN_WORDS[name]}"
            for name, passed in PROXIES_PASSED.items()
        },
    ),
)
