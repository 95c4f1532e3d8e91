"""All that a probe found, as one value and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tricast.probe.advice import Choice, advise, heartbeat, poll_wait, recommend
from tricast.probe.observation import Finding, Uplink, Verdict
from tricast.wire.messages import TransportName

SHAPE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`at` is when the probe began, seconds since 1970; `took` is in seconds. `proxy` is the one that the environment
    names for this address (`http_proxy`), without its login. `uplink` is about `POST /send`.
    """

    url: str
    authority: str
    at: float
    took: float
    proxy: str | None = None
    findings: Mapping[TransportName, Finding] = field(default_factory=dict)
    uplink: Uplink | None = None

    @property
    def reachable(self) -> bool:
        """Whether anything answered at all, be it a refusal."""
        return any(found.verdict not in (Verdict.unreachable, Verdict.no_answer) for found in self.findings.values())

    @property
    def works(self) -> bool:
        """Whether messages get through on any transport."""
        return bool(self.order)

    @property
    def order(self) -> tuple[Choice, ...]:
        """The transports that can be used, the best first."""
        return recommend(self.findings)

    @property
    def advice(self) -> tuple[str, ...]:
        """For whoever runs the network or the proxy."""
        return advise(self.findings, self.uplink, self.authority)

    @property
    def poll_wait(self) -> float:
        """Seconds that a long poll may be held here."""
        return poll_wait(self.findings)

    @property
    def heartbeat(self) -> float:
        """Seconds after which a silent stream should carry a heartbeat here."""
        return heartbeat(self.findings)

    @property
    def seen(self) -> dict[str, Any] | None:
        """How the requests looked to the server, by the first transport that came to know."""
        return next((found.seen for found in self.findings.values() if found.seen is not None), None)

    def to_json(self) -> dict[str, Any]:
        """All times in seconds; what was not found out is null.

        ```
        {"format": 1, "url": "http://...", "at": 1795295808.1, "took": 4.2, "proxy": null,
         "reachable": true, "works": true,
         "transports": {"ws": {"verdict": "clean", "usable": true, "detail": "...", "status": null, "period": null,
             "cut_after": null, "idle_cut": null, "idle_passed": null,
             "latency": {"frames": 30, "expected": 30, "opened": 0.004, "first_frame": 0.004, "delay_median": 0.0003,
                         "delay_max": 0.002, "round_trip": 0.001},
             "seen": {"address": "...", "http": "1.1", "host": "...", "headers": {...}}}, "sse": ..., "poll": ...},
         "uplink": {"verdict": "clean", "detail": "...", "status": null, "round_trip": 0.003},
         "order": [{"transport": "ws", "reason": "..."}], "poll_wait": 25.0, "heartbeat": 15.0,
         "seen": {...}, "advice": ["..."]}
        ```

        `verdict` is one of clean, batched, cut, late_by_one, uplink_blocked, buffered, headers_only, silent, refused,
        no_answer, unreachable. Members may be added; `format` changes when one changes its meaning.
        """
        uplink = None
        if self.uplink is not None:
            uplink = {
                "verdict": self.uplink.verdict.value,
                "detail": self.uplink.detail,
                "status": self.uplink.status,
                "round_trip": _rounded(self.uplink.round_trip),
            }
        return {
            "format": SHAPE,
            "url": self.url,
            "at": round(self.at, 3),
            "took": round(self.took, 3),
            "proxy": self.proxy,
            "reachable": self.reachable,
            "works": self.works,
            "transports": {name: _finding(found) for name, found in self.findings.items()},
            "uplink": uplink,
            "order": [asdict(choice) for choice in self.order],
            "poll_wait": self.poll_wait,
            "heartbeat": self.heartbeat,
            "seen": self.seen,
            "advice": list(self.advice),
        }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "verdict": found.verdict.value,
        "usable": found.verdict.usable,
        "detail": found.detail,
        "status": found.status,
        "period": _rounded(found.period),
        "cut_after": _rounded(found.cut_after),
        "idle_cut": _rounded(found.idle_cut),
        "idle_passed": _rounded(found.idle_passed),
        "latency": {name: _rounded(value) for name, value in asdict(found.figures).items()},
        "seen": found.seen,
    }


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else round(value, 5)
