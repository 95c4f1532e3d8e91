"""Latencies of several processes in one place, for runs that locust itself drives: workers report, the master adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdrh.histogram import HdrHistogram
from rich import box
from rich.table import Table

from tricast_bench.recorder import Tally, encoded, histogram
from tricast_bench.users.crowd import Crowd

LAG = "schedule lag"
LAG_BAD_US = 10_000
COLUMNS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


class Ledger:
    """HdrHistograms of microseconds by transport, and of the schedule's lag; and what was lost by whom."""

    def __init__(self) -> None:
        self._histograms: dict[str, HdrHistogram] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self.failed: dict[str, str] = {}

    def clear(self) -> None:
        self._histograms.clear()
        self._tallies.clear()
        self.failed.clear()

    def report(self, crowd: Crowd) -> dict[str, Any]:
        """What the crowd has measured since the last report, which it forgets, as plain values for a message."""
        histograms = {LAG: encoded(histogram(crowd.lag))}
        for name, recorder in crowd.recorders.items():
            if recorder.latencies:
                histograms[name] = encoded(histogram(recorder.latencies))
        tallies = {name: crowd.tally(name, {}).as_list() for name in crowd.recorders}
        crowd.restart(0)
        return {"histograms": histograms, "tallies": tallies, "failed": crowd.failed}

    def add(self, who: str, report: Mapping[str, Any]) -> None:
        """A report of a process, whose tallies take the place of those it sent before."""
        for name, text in report["histograms"].items():
            self._histograms.setdefault(name, histogram()).decode_and_add(text)
        for name, values in report["tallies"].items():
            self._tallies[who, name] = Tally(*values)
        if report["failed"]:
            self.failed[who] = report["failed"]

    def table(self) -> Table:
        """Milliseconds from when a message should have been sent."""
        table = Table(title="Latency from the intended send time, ms", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("")
        for heading in ("count", *COLUMNS, "lost", "in gaps", "doubled", "out of order"):
            table.add_column(heading, justify="right")
        for name, of in sorted(self._histograms.items(), key=lambda item: item[0] == LAG):
            tally = sum((tally for (_, other), tally in self._tallies.items() if other == name), Tally())
            wrong = ["" for _ in tally.as_list()] if name == LAG else [str(count) for count in tally.as_list()]
            figures = (f"{of.get_value_at_percentile(share) / 1e3:.2f}" for share in COLUMNS.values())
            table.add_row(name, str(of.get_total_count()), *figures, *wrong)
        return table

    def notes(self) -> list[str]:
        """What makes the figures doubtful."""
        lag = self._histograms.get(LAG)
        said = [f"{who}: {reason}" for who, reason in self.failed.items()]
        if lag is not None and lag.get_value_at_percentile(99) > LAG_BAD_US:
            said.append("the load was late: its own lag is in the latencies; use more processes, or a lower --rate")
        return said
