"""A run's tables, its goals and where it was made, as they stand in docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tricast_bench.document import markdown
from tricast_bench.peers.goals import check
from tricast_bench.peers.measure import Measured
from tricast_bench.peers.report import SECTIONS, cell, columns, notes

SECTION = "peers"
VERDICTS = {True: "met", False: "**missed**", None: "not measured"}


def text(raw: Mapping[str, Any], samples: Sequence[Measured], base: str) -> str:
    """All of it. `raw` is what --json wrote, `base` the server that the ratios are to."""
    parts = [_account(raw)]
    for section in SECTIONS:
        loads = columns(section, samples)
        names = {load.name for load in loads}
        peers = dict.fromkeys(sample.peer for sample in samples if sample.workload in names)
        rows = [[peer, *(cell(section, load.name, peer, samples, base) for load in loads)] for peer in peers]
        if loads:
            head = ["", *(load.title for load in loads)]
            parts.append(f"**{section.title}**\n\n{markdown(head, rows, right=True)}")
    if said := notes(samples, raw["left_out"]):
        parts.append("\n".join(f"- {note}" for note in said))
    goals = [
        [v.goal.workload, v.goal.peer, str(v.goal), "" if v.value is None else f"{v.value:.2f}", VERDICTS[v.met]]
        for v in check(samples)
    ]
    parts.append("**Goals**\n\n" + markdown(["load", "server", "goal", "measured", ""], goals))
    parts.append("**How each runs**\n\n" + "\n".join(f"- {name}: {said}" for name, said in raw["said"].items()))
    return "\n\n".join(parts)


def _account(raw: Mapping[str, Any]) -> str:
    """What was measured with what, where and when."""
    where, plan = raw["environment"], raw["plan"]
    day = datetime.fromisoformat(raw["started"]).strftime("%-d %B %Y")
    versions = ", ".join(f"{name} {version}" for name, version in raw["versions"].items())
    return (
        f"`make bench-peers` writes this part. Measured on {day} in {plan['rounds']} rounds of {plan['seconds']:g} s "
        f"for each; each figure is the median, beside it the\nmedian of the ratios to tricast in one round. "
        f"{where['python']}, {where['kernel']}, {where['cores']} cores of a shared {where['cpu']}.\n{versions}."
    )
