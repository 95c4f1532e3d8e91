"""The table of what several workers cost says what was measured, and what was not."""

from __future__ import annotations

from typing import Any

from tricast_bench.peers.cluster.cases import CASES, LOADS
from tricast_bench.peers.cluster.doc import COLUMNS, section
from tricast_bench.peers.cluster.measure import Sample

RAW = {
    "started": "2026-11-22T10:00:00Z",
    "environment": {"cpu": "a processor", "kernel": "Linux 6", "python": "CPython 3.11"},
    "rounds": 3,
    "seconds": 1.0,
}


def sample(number: int, load: str = "fan-out", case: str = "memory-1", **more: Any) -> Sample:
    return Sample(round=number, load=load, case=case, **more)


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_each_figure_is_the_median_of_what_is_not_void() -> None:
    samples = [sample(n, node_us=us, engine_us=us / 10) for n, us in enumerate((100.0, 300.0, 200.0))]
    text = section(RAW, [*samples, sample(9, node_us=9_000.0, engine_us=9.0, void="other processes")])
    assert row(text, "memory, 1 process")[2:4] == ["200", "20"]
    assert "4 samples, 1 of them left out" in text


def test_what_was_not_measured_is_a_dash() -> None:
    text = section(RAW, [sample(1, node_us=100.0)])
    assert row(text, "Redis, 2 workers") == ["–"] * len(COLUMNS)


def test_what_failed_and_what_did_not_arrive_is_said() -> None:
    text = section(RAW, [sample(1, failed="it does not\nstart"), sample(2, node_us=1.0, complete=False)])
    assert "failed: memory-1 under fan-out: it does not start" in text
    assert "not everything had arrived when the time was up: memory-1 under fan-out" in text


def test_every_column_shows_a_figure_of_a_load_there_is() -> None:
    assert {load for _, load, _, _ in COLUMNS} == {load.name for load in LOADS}
    assert all(hasattr(Sample(round=1, load="", case=""), figure) for _, _, figure, _ in COLUMNS)
    assert len({case.name for case in CASES}) == len(CASES)
