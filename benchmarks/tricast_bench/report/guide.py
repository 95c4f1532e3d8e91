"""From numbers to sentences: what the comparison means for somebody who has to choose. Pure; thresholds are below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tricast_bench.report.cases import Case
from tricast_bench.report.facts import PROXIES_ALL, PROXIES_PASSED
from tricast_bench.report.phrases import CORE_SHARE, MATTERS, NOTICEABLE_MS, choice, compare, fit, latency, rounded
from tricast_bench.report.summary import Summary
from tricast_bench.report.words import NAMES, case_in_words, count, listed, number
from tricast_bench.results import TRANSPORTS

SCALE = 10_000
"""Connections by which memory is told."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A question and its answer. `run` is the scenario to run where there is none."""

    question: str
    sentences: Sequence[str]
    run: str | None = None


def thresholds() -> str:
    return (
        f"Costs decide from a ratio of {MATTERS:g} on; latencies less than {NOTICEABLE_MS:g} ms apart are taken as the "
        f"same to a person; {CORE_SHARE:.0%} of a core is where CPU begins to count. “No difference” means that the "
        "95% interval of the ratio, over rounds in which both were measured, covers 1."
    )


def advice(summary: Summary) -> list[Advice]:
    return [_cheapest(summary), _polls(summary), _two_way(summary), _one_way(summary), *_others(summary)]


def answer(summary: Summary) -> list[str]:
    """The report in a few sentences."""
    cost, rest = summary.row("broadcast.cpu"), summary.row("idle.memory")
    said = []
    if cost.best is None:
        said.append("No broadcast was measured, so there is no word here on what a message costs.")
    else:
        said.append(compare(cost, "a delivery to one of many costs the server", "of CPU"))
    if (echo := summary.row("echo.p99")).best is not None:
        said.append(latency(echo, "a message there and back"))
    if rest.best is not None:
        said.append(compare(rest, "a connection at rest takes", "of memory"))
    return said


def _cheapest(summary: Summary) -> Advice:
    question, row = "Which is cheapest, and does it matter?", summary.row("broadcast.cpu")
    if row.best is None or row.case is None:
        return Advice(question, (), "broadcast")
    said = [compare(row, f"with {row.case.words}, a delivery costs the server", "of CPU")]
    values = {name: cell.value.value for name, cell in row.cells.items()}
    dear = max(values, key=lambda name: values[name])
    gap = values[dear] - values[row.best]
    if gap > 0 and row.cells[dear].verdict == "worse":
        limit = CORE_SHARE * 1e6 / gap
        said.append(
            f"The difference between {NAMES[row.best]} and {NAMES[dear]} is {number(gap)} µs for each delivery: up to "
            f"{rounded(limit)} deliveries a second it is less than {CORE_SHARE:.0%} of a core, and other reasons "
            "should decide."
        )
    elif len(values) > 1 and all(cell.verdict in ("best", "no difference") for cell in row.cells.values()):
        said.append("No difference in cost was found here, so other reasons should decide.")
    return Advice(question, said)


def _polls(summary: Summary) -> Advice:
    question = "When does long polling become expensive?"
    found = [(case, factor) for case in summary.of("broadcast") if (factor := _poll_factor(case)) is not None]
    if not found:
        return Advice(question, (), "broadcast")
    said = []
    if len(found) == 1:
        case, factor = found[0]
        said.append(f"A delivery by long poll costs {number(factor)} times the cheapest, with {case.words}.")
    else:
        least, most = min(found, key=lambda item: item[1]), max(found, key=lambda item: item[1])
        said.append(
            f"A delivery by long poll costs between {number(least[1])} times the cheapest ({least[0].words}) and "
            f"{number(most[1])} times ({most[0].words})."
        )
    row = summary.row("broadcast.requests")
    requests, up = row.value("poll"), summary.row("broadcast.up").value("poll")
    if requests is not None and row.case is not None:
        asked = f"; asking takes {number(up)} B up for each" if up else ""
        said.append(f"It needs {number(requests)} requests for each message with {row.case.words}{asked}.")
    said += _sharing(summary)
    beat = summary.row("idle.beat")
    if (poll := beat.value("poll")) is not None and beat.best not in (None, "poll"):
        assert beat.best is not None
        said.append(
            f"At rest, an empty poll costs {number(poll)} µs, where a heartbeat over {NAMES[beat.best]} costs "
            f"{number(beat.value(beat.best) or 0)} µs: long waits keep that rare."
        )
    return Advice(question, said)


def _poll_factor(case: Case) -> float | None:
    costs = {name: case.estimate(name, "server_cpu_us_per_delivery") for name in TRANSPORTS}
    poll, others = costs["poll"], [of.value for name, of in costs.items() if of is not None and name != "poll"]
    return poll.value / min(others) if poll is not None and others and min(others) > 0 else None


def _sharing(summary: Summary) -> list[str]:
    """What becomes of polls as the rate grows: answers that carry several messages."""
    steps = sorted((case for case in summary.of("knee") if case.runs.get("poll")), key=lambda case: case.number("rate"))
    if len(steps) < 2:
        return []
    said = []
    for case in (steps[0], steps[-1]):
        cost, asked = case.estimate("poll", "server_cpu_us_per_delivery"), case.estimate("poll", "requests_per_message")
        if cost is None or asked is None:
            return []
        said.append((case.number("rate"), cost.value, asked.value))
    (low, cost_low, asked_low), (high, cost_high, asked_high) = said
    if asked_high < 0.9 * asked_low:
        how = "answers carry several messages, so it is answers that cost, not messages"
    else:
        how = "every message still takes an answer of its own"
    return [
        f"From {number(low)} to {number(high)} messages a second its cost for each delivery goes from "
        f"{number(cost_low)} to {number(cost_high)} µs, and its requests from {number(asked_low)} to "
        f"{number(asked_high)} for each: {how}."
    ]


def _two_way(summary: Summary) -> Advice:
    question, row, cost = "What for traffic both ways?", summary.row("echo.p99"), summary.row("echo.cpu")
    if row.best is None or row.case is None:
        return Advice(question, (), "echo")
    said = [f"{choice(row, cost)} ({row.case.words}).", latency(row, "a message there and back")]
    if cost.best is not None:
        said.append(compare(cost, "one costs the server", "of CPU"))
    return Advice(question, said)


def _one_way(summary: Summary) -> Advice:
    question, row, cost = "What for traffic one way?", summary.row("broadcast.p99"), summary.row("broadcast.cpu")
    if row.best is None or row.case is None:
        return Advice(question, (), "broadcast")
    chosen = fit(row, cost)
    said = [f"{choice(row, cost)} ({row.case.words}).", latency(row, "a broadcast")]
    if "sse" in chosen and "ws" in chosen:
        said.append(
            "Between these two the numbers do not decide. SSE reconnects by itself in browsers and passed "
            f"{PROXIES_PASSED['sse']} of {PROXIES_ALL} proxy configurations, WebSocket {PROXIES_PASSED['ws']}: where "
            "nothing has to go up, take SSE."
        )
    return Advice(question, said)


def _others(summary: Summary) -> Iterable[Advice]:
    yield _hostile(summary)
    yield _far(summary)
    yield _many(summary)
    yield _load(summary)
    yield _faults(summary)


def _hostile(summary: Summary) -> Advice:
    said = [
        f"Of {PROXIES_ALL} proxy configurations {PROXIES_PASSED['ws']} passed WebSocket as it should be, "
        f"{PROXIES_PASSED['sse']} SSE and {PROXIES_PASSED['poll']} long polling (docs/proxies.md). Let the client "
        "choose, with all three allowed: then the dearest is paid for only where nothing else passes."
    ]
    firsts = []
    for case in summary.of("fallback"):
        for name in case.transports():
            if (of := case.estimate(name, "time_to_first_ms")) is not None:
                firsts.append((of.value, str(case.parameters.get("network", "")), name))
    if firsts:
        first, last = min(firsts), max(firsts)
        said.append(
            f"In the networks of scenario fallback its first message came after {number(first[0])} ms ({first[1]}, "
            f"over {NAMES[first[2]]}) to {number(last[0])} ms ({last[1]}, over {NAMES[last[2]]})."
        )
    return Advice("What behind hostile proxies?", said)


def _far(summary: Summary) -> Advice:
    question = "What where the server is far away?"
    said = []
    for case in summary.of("delay"):
        trip = 2 * case.number("delay_ms")
        values = [(name, of) for name in case.transports() if (of := case.estimate(name, "p50_ms")) is not None]
        if trip and values:
            parts = [f"{number(of.value)} ms over {NAMES[name]}" for name, of in values]
            said.append(f"With {number(trip)} ms of round trip ({case.words}), p50 is {listed(parts)}.")
    return Advice(question, said, None if said else "delay")


def _many(summary: Summary) -> Advice:
    question, row = "What for many connections at rest?", summary.row("idle.memory")
    if row.best is None:
        return Advice(question, (), "idle")
    parts = [f"{number(cell.value.value * SCALE / 2**20)} MiB over {NAMES[name]}" for name, cell in row.cells.items()]
    said = [compare(row, "one takes", "of the server’s memory"), f"{SCALE:,} of them take {listed(parts)}."]
    return Advice(question, said)


def _load(summary: Summary) -> Advice:
    question, row = "How much does one server carry?", summary.row("knee.most")
    if row.best is None:
        return Advice(question, (), "knee")
    parts = [
        f"{'at least ' if cell.at_least else ''}{number(cell.value.value)} deliveries a second over {NAMES[name]}"
        for name, cell in row.cells.items()
    ]
    case = "" if row.case is None else f" with {case_in_words(row.case.parameters, rate=False)}"
    objective = row.case.number("objective") if row.case is not None else 0.0
    kept = f" with p99 within {number(1e3 * objective)} ms" if objective else ""
    said = [f"One core of server carried {listed(parts)}{case},{kept} and nothing lost (median over the rounds)."]
    rates = sorted({step.number("rate") for step in summary.of("knee")} - {0.0})
    if len(rates) > 1:
        step = median(high / low for low, high in pairwise(rates))
        said.append(f"Rates were tried in steps of {number(step)} times; what is nearer than that looks the same.")
    limited = [
        name for name in TRANSPORTS if any(knee.transport == name and knee.limited_by_load for knee in summary.knees)
    ]
    if limited:
        said.append(
            f"Over {listed([NAMES[name] for name in limited])} some rounds ended where the load or the list of rates "
            "did, so the server may carry more."
        )
    return Advice(question, said)


def _faults(summary: Summary) -> Advice:
    """Without the search for the knee, which goes on until something is missing."""
    question = "Was anything lost?"
    known = [case for case in summary.cases if case.scenario != "knee"]
    runs = [run for case in known for some in case.runs.values() for run in some]
    sums = {
        word: sum(int(getattr(run.metrics, metric) or 0) for run in runs)
        for metric, word in (("lost", "lost"), ("duplicated", "doubled"), ("reordered", "out of order"))
    }
    delivered = sum(int(run.metrics.delivered or 0) for run in runs if run.metrics.lost is not None)
    gaps = sum(int(run.metrics.gaps or 0) for run in runs)
    if not delivered:
        return Advice(question, ("No run counted its messages.",))
    wrong = [f"{many:,} {word}" for word, many in sums.items() if many]
    told = f"; {count(gaps, 'delivery was', 'deliveries were')} missed and told of by a gap" if gaps else ""
    if wrong:
        return Advice(question, (f"Yes: of {delivered:,} deliveries, {listed(wrong)}{told}. That is a fault.",))
    return Advice(question, (f"No: of {delivered:,} deliveries none was lost, doubled or out of order{told}.",))
