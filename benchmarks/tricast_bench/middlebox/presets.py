"""Sets of faults, named for what they imitate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tricast_bench.middlebox.faults import Faults


@dataclass(frozen=True, slots=True)
class Preset:
    """Faults, and in one line what has them."""

    about: str
    faults: Faults


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "clean": Preset("no fault at all", Faults()),
        "corporate-proxy-no-upgrade": Preset(
            "removes the Upgrade headers, so the server sees a plain GET", Faults(strip_upgrade=True)
        ),
        "nginx-default": Preset(
            "removes the Upgrade headers, holds SSE unless it says X-Accel-Buffering: no",
            Faults(strip_upgrade=True, sse_hold_headers=True, hold_bytes=4096, honour_x_accel=True),
        ),
        "buffering-proxy": Preset("holds SSE to its end; WebSocket passes", Faults(sse_hold_headers=True)),
        "body-buffering-proxy": Preset(
            "passes the headers of SSE and holds its body to the end", Faults(sse_hold_body=True)
        ),
        "antivirus-late-by-one": Preset(
            "holds each event of SSE until the next one comes", Faults(late_by_one={"sse": True})
        ),
        "haproxy-batching": Preset("passes SSE on every 205 ms", Faults(batch_ms={"sse": 205.0})),
        "captive-portal": Preset("answers an upgrade with 200 and a page", Faults(refuse_upgrade=200)),
        "squid-connect-403": Preset("answers an upgrade with 403, as to a CONNECT", Faults(refuse_upgrade=403)),
        "authenticating-proxy": Preset("answers an upgrade with 407", Faults(refuse_upgrade=407)),
        "bad-gateway": Preset("answers an upgrade with 502", Faults(refuse_upgrade=502)),
        "websocket-blackhole": Preset("swallows requests for an upgrade", Faults(blackhole={"ws": True})),
        "silent-websocket": Preset("passes the upgrade, then nothing either way", Faults(ws_silence="both")),
        "one-way-websocket": Preset("passes the upgrade, then nothing of the client's", Faults(ws_silence="up")),
        "websocket-killer": Preset("ends a WebSocket 5 s after the upgrade", Faults(ws_drop_after=5.0)),
        "idle-cutter": Preset("cuts every stream after 10 s of silence", Faults(idle_after=10.0)),
        "envoy-stream-timeout": Preset(
            "cuts streams at 16 s in spite of traffic, answers polls with 504 at 15 s",
            Faults(cut_after={"ws": 16.0, "sse": 16.0, "poll": 15.0}, cut_status=504),
        ),
        "post-eater": Preset("reads every POST and never answers", Faults(eat_post=True)),
        "read-only-proxy": Preset("answers every POST with 403", Faults(refuse_post=403)),
        "train": Preset(
            "150 to 250 ms each way, 1 Mbit/s", Faults(delay_ms=150.0, jitter_ms=100.0, bandwidth_bps=1_000_000.0)
        ),
        "dead-wifi": Preset("nothing passes and nothing ends, until it is back", Faults(blackhole=True)),
        "server-down": Preset("refuses connections and cuts the open ones", Faults(refuse_all=True)),
    }
)


def name_of(faults: Faults) -> str | None:
    """The preset that is exactly this, if one is."""
    return next((name for name, preset in PRESETS.items() if preset.faults == faults), None)
