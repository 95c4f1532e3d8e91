"""The phrases of the guide: one row of numbers in words, and the thresholds from which a difference decides. Pure."""

from __future__ import annotations

from tricast_bench.report.summary import Cell, Row
from tricast_bench.report.words import NAMES, interval, listed, number
from tricast_bench.results import Transport

MATTERS = 1.25
"""From this ratio on, a cost decides."""
NOTICEABLE_MS = 10.0
"""Latencies nearer to each other than this are the same to a person."""
CORE_SHARE = 0.1
"""A difference in CPU below this share of a core decides nothing."""


def compare(row: Row, what: str, of: str) -> str:
    """The best, and each of the others against it."""
    assert row.best is not None
    best = row.cells[row.best]
    head = f"{what} {_amount(row, best)} {of} over {NAMES[row.best]}"
    others = [_against(row, name, cell) for name, cell in row.cells.items() if name != row.best]
    return _capital("; ".join([head, *others]) if others else f"{head}; nothing else was measured") + "."


def _against(row: Row, name: Transport, cell: Cell) -> str:
    over = f"over {NAMES[name]} {_amount(row, cell)}"
    if cell.verdict == "no difference":
        why = f"the interval of the ratio, {interval(cell.factor)}, covers 1" if cell.factor else "intervals overlap"
        return f"{over}, which is no difference ({why})"
    if cell.verdict == "too few runs":
        return f"{over} (too few rounds with both to tell them apart)"
    if cell.factor is None:
        return f"{over}, which is more"
    small = "" if cell.factor.value >= MATTERS else f", measurable but below the {MATTERS:g} from which cost decides"
    return f"{over}, {number(cell.factor.value)} times as much ({interval(cell.factor)}){small}"


def latency(row: Row, what: str) -> str:
    values = {name: cell.value.value for name, cell in row.cells.items()}
    spread = max(values.values()) - min(values.values())
    said = listed([f"{number(value)} ms over {NAMES[name]}" for name, value in values.items()])
    if len(values) == 1:
        return f"The p99 of {what} is {said}."
    close = f"less than {NOTICEABLE_MS:g} ms apart, so a person notices nothing and cost may decide"
    far = f"up to {number(spread)} ms apart, more than the {NOTICEABLE_MS:g} ms that count as the same"
    return f"The p99 of {what} is {said}: {close if spread < NOTICEABLE_MS else far}."


def fit(times: Row, cost: Row) -> list[Transport]:
    """Those that are as quick as the quickest, to a person, and of these the ones whose cost does not matter."""
    quick = _quick(times)
    costs = {name: cost.cells[name] for name in quick if name in cost.cells}
    if not costs:
        return quick
    least = min(cell.value.value for cell in costs.values())
    return [
        name
        for name, cell in costs.items()
        if cell.value.value < MATTERS * least or cell.verdict in ("best", "no difference")
    ]


def _quick(times: Row) -> list[Transport]:
    values = {name: cell.value.value for name, cell in times.cells.items()}
    return [name for name, value in values.items() if value - min(values.values()) < NOTICEABLE_MS]


def choice(times: Row, cost: Row) -> str:
    """The transports that fit, as a sentence without its full stop."""
    chosen = fit(times, cost)
    names = _capital(listed([NAMES[name] for name in chosen], "or"))
    few = {cell.verdict for row in (times, cost) for cell in row.cells.values()} & {"too few runs", "least"}
    unsure = ", as far as so few rounds tell" if few else ""
    if len(times.cells) == 1:
        return f"{names}, as nothing else was measured"
    if len(_quick(times)) == 1:
        return f"{names}: the others are slower by {NOTICEABLE_MS:g} ms or more{unsure}"
    if len(chosen) == 1:
        why = f"as quick as a person can tell, and cheaper than others that are, by {MATTERS:g} times or more"
        return f"{names}: {why}{unsure}"
    return f"{names}: as quick as a person can tell, and no difference in cost between them decides{unsure}"


def _amount(row: Row, cell: Cell) -> str:
    return f"{number(cell.value.value * row.scale)} {row.unit}".strip()


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def rounded(value: float) -> str:
    """Two digits."""
    return f"{float(f'{value:.2g}'):,.0f}"
