"""The middlebox's faults as values: what they take, what they are as JSON, and what each does to the time."""

from __future__ import annotations

from typing import Any

import pytest

from tricast_bench.middlebox.exchange import Exchange
from tricast_bench.middlebox.faults import KINDS, FaultError, Faults, Kind, Way, on
from tricast_bench.middlebox.presets import PRESETS, name_of
from tricast_bench.middlebox.schedule import Bottleneck, Parcel, Part, cut_due, due, slice_of


@pytest.mark.parametrize(
    "members",
    [
        {"refuse_upgrade": 100},
        {"refuse_upgrade": "403"},
        {"refuse_upgrade": True},
        {"strip_upgrade": 1},
        {"ws_silence": "sideways"},
        {"ws_drop_after": -1},
        {"ws_drop_after_bytes": 0},
        {"ws_drop_after_bytes": 1.5},
        {"delay_ms": float("nan")},
        {"delay_ms": "50"},
        {"bandwidth_bps": 0},
        {"batch_ms": 0},
        {"cut_after": {"send": 1}},
        {"cut_after": {"sse": "soon"}},
        {"blackhole": ["ws"]},
        {"blackhole": {"tcp": True}},
        {"explode": True},
        [],
        None,
        "clean",
    ],
)
def test_what_is_no_fault_is_refused(members: Any) -> None:
    with pytest.raises(FaultError):
        Faults.from_json(members)


@pytest.mark.parametrize(
    ("members", "plain"),
    [
        ({}, {}),
        ({"cut_after": 2}, {"cut_after": 2}),
        ({"cut_after": {"sse": 2}}, {"cut_after": {"sse": 2}}),
        ({"cut_after": {"ws": 2, "sse": 2, "poll": 2}}, {"cut_after": 2}),
        ({"cut_after": {"sse": 0}}, {"cut_after": {"sse": 0}}),
        ({"cut_after": {"sse": None}}, {}),
        ({"blackhole": True}, {"blackhole": True}),
        ({"blackhole": False, "delay_ms": 0, "refuse_upgrade": None}, {}),
        ({"blackhole": {"ws": False}}, {}),
        ({"blackhole": {"ws": True, "sse": False}}, {"blackhole": {"ws": True}}),
    ],
)
def test_json_there_and_back(members: Any, plain: Any) -> None:
    faults = Faults.from_json(members)
    assert faults.to_json() == plain
    assert Faults.from_json(faults.to_json()) == faults


def test_merging_keeps_the_others_and_null_takes_one_off() -> None:
    faults = Faults(delay_ms=50.0, eat_post=True).merged({"eat_post": None, "cut_after": {"sse": 1}})
    assert faults == Faults(delay_ms=50.0, cut_after={"sse": 1.0})
    with pytest.raises(FaultError):
        faults.merged([])


def test_a_scope_is_the_faults_own() -> None:
    scope: dict[Kind, float] = {"sse": 1.0}
    faults = Faults(cut_after=scope)
    scope["ws"] = 2.0
    assert on(faults.cut_after, "ws") is None
    assert on(faults.cut_after, "sse") == 1.0
    assert on(Faults(cut_after=3.0).cut_after, "send") is None
    assert [on(Faults(blackhole=True).blackhole, kind) for kind in KINDS] == [True] * len(KINDS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_told_by_its_faults(name: str) -> None:
    faults = PRESETS[name].faults
    assert name_of(faults) == name
    assert Faults.from_json(faults.to_json()) == faults
    assert "\n" not in PRESETS[name].about


def exchange(kind: Kind = "sse", **more: Any) -> Exchange:
    return Exchange(kind=kind, method="GET", started=10.0, active=10.0, **more)


def parcel(part: Part = "body", of: Exchange | None = None, arrived: float = 10.1, luck: float = 0.5) -> Parcel:
    return Parcel(data=b"x", exchange=of or exchange(), part=part, arrived=arrived, luck=luck)


WS = exchange("ws", upgraded=10.0)
XAB = exchange(unbuffered=True)


@pytest.mark.parametrize(
    ("faults", "what", "way", "last", "when"),
    [
        (Faults(), parcel(), "down", True, 10.1),
        (Faults(delay_ms=100.0), parcel(), "down", True, 10.2),
        (Faults(delay_ms=100.0), parcel(), "up", True, 10.2),
        (Faults(delay_ms=100.0, jitter_ms=100.0), parcel(), "up", True, 10.25),
        (Faults(blackhole=True), parcel("end"), "down", True, None),
        (Faults(blackhole={"ws": True}), parcel(), "down", True, 10.1),
        (Faults(sse_hold_headers=True), parcel("head"), "down", True, None),
        (Faults(sse_hold_headers=True), parcel(), "down", False, None),
        (Faults(sse_hold_headers=True), parcel("head"), "up", True, 10.1),
        (Faults(sse_hold_headers=True), parcel("tunnel", WS), "down", True, 10.1),
        (Faults(sse_hold_headers=True), parcel(of=exchange("poll")), "down", True, 10.1),
        (Faults(sse_hold_headers=True), parcel(of=exchange(complete=True)), "down", True, 10.1),
        (Faults(sse_hold_headers=True), parcel(of=XAB), "down", True, None),
        (Faults(sse_hold_headers=True, honour_x_accel=True), parcel(of=XAB), "down", True, 10.1),
        (Faults(sse_hold_headers=True, honour_x_accel=True), parcel(), "down", True, None),
        (Faults(sse_hold_body=True), parcel("head"), "down", True, 10.1),
        (Faults(sse_hold_body=True), parcel(), "down", True, None),
        (Faults(late_by_one=True), parcel("head"), "down", True, 10.1),
        (Faults(late_by_one=True), parcel(), "down", True, None),
        (Faults(late_by_one=True), parcel(), "down", False, 10.1),
        (Faults(late_by_one={"sse": True}), parcel("tunnel", WS), "down", True, 10.1),
        (Faults(late_by_one=True), parcel("tunnel", WS), "down", True, None),
        (Faults(late_by_one=True), parcel("tunnel", WS), "up", True, 10.1),
        (Faults(batch_ms=250.0), parcel(), "down", True, 10.25),
        (Faults(batch_ms=250.0), parcel(arrived=10.3), "down", True, 10.5),
        (Faults(batch_ms=250.0), parcel(), "up", True, 10.1),
        (Faults(ws_silence="both"), parcel("head", WS), "down", True, 10.1),
        (Faults(ws_silence="both"), parcel("tunnel", WS), "down", True, None),
        (Faults(ws_silence="up"), parcel("tunnel", WS), "down", True, 10.1),
        (Faults(ws_silence="up"), parcel("tunnel", WS), "up", True, None),
        (Faults(ws_silence="down"), parcel("tunnel", WS), "down", True, None),
        (Faults(ws_silence="both"), parcel(), "down", True, 10.1),
    ],
)
def test_when_a_parcel_may_pass(faults: Faults, what: Parcel, way: Way, last: bool, when: float | None) -> None:
    assert due(what, faults, way, last=last, ending=False) == (when if when is None else pytest.approx(when))


def test_what_is_silenced_does_not_keep_the_end_back() -> None:
    assert due(parcel("tunnel", WS), Faults(ws_silence="up"), "up", last=False, ending=True) == 0.0


@pytest.mark.parametrize(
    ("faults", "of", "when"),
    [
        (Faults(), exchange(), None),
        (Faults(cut_after=2.0), exchange(), 12.0),
        (Faults(cut_after=2.0), exchange("send"), None),
        (Faults(cut_after={"poll": 2.0}), exchange(), None),
        (Faults(cut_after=2.0, idle_after=1.0), exchange(), 11.0),
        (Faults(ws_drop_after=3.0), exchange("ws", upgraded=11.0), 14.0),
        (Faults(ws_drop_after=3.0), exchange("ws"), None),
        (Faults(ws_drop_after=3.0), exchange("other", upgraded=11.0), None),
        (Faults(cut_after=2.0, blackhole=True), exchange(), None),
    ],
)
def test_when_an_exchange_is_cut(faults: Faults, of: Exchange, when: float | None) -> None:
    assert cut_due(of, faults) == when


def test_a_bottleneck_is_shared_and_forgets_an_old_rate() -> None:
    line = Bottleneck()
    assert line.reserve(1000, 8000.0, 5.0) == 6.0
    assert line.reserve(1000, 8000.0, 5.0) == 7.0
    assert line.reserve(1000, 8000.0, 9.0) == 10.0
    assert line.reserve(1000, 80_000.0, 9.5) == pytest.approx(9.6)
    assert slice_of(8000.0) == 1460
    assert slice_of(8_000_000.0) == 20_000
