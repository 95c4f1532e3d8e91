"""The figures of latency: by percentile, over load, over time."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tricast_bench.report.axes import Axis, Scale, between
from tricast_bench.report.cases import Case, reference
from tricast_bench.report.histograms import merged, spectrum
from tricast_bench.report.markup import Markup
from tricast_bench.report.panels import SHORT, Figure, log_axis, titled
from tricast_bench.report.summary import Summary
from tricast_bench.report.svg import Box, Line, Lines, Ring, Rule
from tricast_bench.report.words import case_in_words, listed, number
from tricast_bench.results import Transport

PERCENTILES = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1e3, "99.9"), (1e4, "99.99"), (1e5, "99.999"))


def by_percentile(summary: Summary) -> Figure:
    panels = []
    for scenario in ("echo", "broadcast", "delay"):
        case = reference(summary.of(scenario))
        if case is None:
            continue
        lines = []
        for name in case.transports():
            whole = merged(run.histogram for run in case.runs[name])
            if whole is not None:
                lines.append(Line(name, [point for point in spectrum(whole) if point[1] > 0], SHORT[name]))
        if lines := [line for line in lines if line.points]:
            panels.append(_percentiles(f"spectrum-{scenario}", case, lines))
    return Figure(
        "spectrum",
        "Latency by percentile",
        "All valid rounds of a case together, from their histograms. To the right, each step is a tenth of the "
        "messages of the step before: what happens to one in ten, in a hundred, in a thousand.",
        panels,
        "No run has a histogram of an echo, a broadcast or a delayed line: measure one of the scenarios echo, "
        "broadcast and delay.",
    )


def _percentiles(identity: str, case: Case, lines: Sequence[Line]) -> Markup:
    last = max(line.points[-1][0] for line in lines)
    values = [value for line in lines for _, value in line.points]
    ends = "; ".join(f"{line.name} ends at {number(line.points[-1][1])} ms" for line in lines)
    ticks = [(place, word) for place, word in PERCENTILES if place <= last]

    def across(box: Box) -> Axis:
        return Axis("percentile", Scale(1.0, last, box.left, box.right, log=True), ticks)

    return Lines(
        identity,
        titled(case),
        f"Latency from when a message was to be sent, over percentiles of {case.words}. {ends}.",
        across,
        log_axis("latency, ms", values),
        lines,
    ).draw()


def over_load(summary: Summary) -> Figure:
    steps = [case for case in summary.of("knee") if case.number("rate") > 0]
    panels = [] if not steps else [panel for panel in (_p99s(summary, steps), _cpus(summary, steps)) if panel]
    return Figure(
        "load",
        "Latency over load, and the knee",
        "Medians over the rounds at each rate that was tried. A ring, and the rate beside a name, is the knee: the "
        "highest rate that was carried, in the median round, with p99 within the objective, everything delivered and "
        "no growing backlog. Higher rates were not carried in all rounds.",
        panels,
        "The load was not stepped up: measure scenario knee.",
    )


def _p99s(summary: Summary, steps: Sequence[Case]) -> Markup | None:
    lines, rings, knees = [], [], []
    for name, points in _by_rate(summary, steps, "p99_ms").items():
        rates = [knee.rate or 0.0 for knee in summary.knees if knee.transport == name]
        carried = [point for point in points if rates and point[0] <= median(rates)]
        words = f"{SHORT[name]} {carried[-1][0]:,g}/s" if carried else SHORT[name]
        lines.append(Line(name, points, words, marks=True))
        if carried:
            rings.append(Ring(name, carried[-1]))
            knees.append(words)
    if not lines:
        return None
    objective = 1000 * steps[0].number("objective")
    values = [value for line in lines for _, value in line.points] + ([1.5 * objective] if objective > 0 else [])
    return Lines(
        "load-p99",
        f"p99 over load: {case_in_words(steps[0].parameters, rate=False)}",
        f"Knees: {listed(knees) if knees else 'none'}.",
        log_axis("messages a second", [case.number("rate") for case in steps], across=True),
        log_axis("latency, ms", values),
        lines,
        rings=rings,
        rules=[Rule(objective, f"objective: {number(objective)} ms")] if objective > 0 else (),
        margin=(48.0, 104.0, 44.0, 44.0),
    ).draw()


def _cpus(summary: Summary, steps: Sequence[Case]) -> Markup | None:
    known = _by_rate(summary, steps, "server_cpu_us_per_delivery")
    lines = [Line(name, points, SHORT[name], marks=True) for name, points in known.items()]
    if not lines:
        return None
    ends = [f"{line.name} {number(line.points[0][1])} to {number(line.points[-1][1])} µs" for line in lines]
    return Lines(
        "load-cpu",
        "Server CPU over load",
        f"For each delivery, from the lowest rate to the highest: {listed(ends)}.",
        log_axis("messages a second", [case.number("rate") for case in steps], across=True),
        log_axis("µs for each delivery", [value for line in lines for _, value in line.points]),
        lines,
    ).draw()


def _by_rate(summary: Summary, steps: Sequence[Case], metric: str) -> dict[Transport, list[tuple[float, float]]]:
    """Points of a transport, by rate; only those that have any."""
    found: dict[Transport, list[tuple[float, float]]] = {}
    for name in summary.transports:
        estimates = [(case.number("rate"), case.estimate(name, metric)) for case in steps]
        points = sorted((rate, of.value) for rate, of in estimates if of is not None and of.value > 0)
        if points:
            found[name] = points
    return found


def over_time(summary: Summary) -> Figure:
    panels = []
    for scenario in ("broadcast", "slow"):
        case = reference(summary.of(scenario))
        if case is None:
            continue
        faint, bold = [], []
        for name in case.transports():
            rounds = [[(at, p99) for at, _, p99, _ in run.series if p99 > 0] for run in case.runs[name]]
            rounds = [points for points in rounds if points]
            faint += [Line(name, points) for points in rounds]
            by_time: dict[float, list[float]] = {}
            for at, p99 in (point for points in rounds for point in points):
                by_time.setdefault(at, []).append(p99)
            if by_time:
                bold.append(Line(name, [(at, median(some)) for at, some in sorted(by_time.items())], SHORT[name]))
        if bold:
            panels.append(_in_time(scenario, case, faint, bold))
    return Figure(
        "time",
        "Latency over time",
        "The p99 of each half second, by when messages were to be sent, so that a server that stands still shows as a "
        "slope of waiting messages and not as a gap. A faint line is one round, a strong one the median.",
        panels,
        "No run of a broadcast has a series over time: measure scenario broadcast or slow.",
    )


def _in_time(scenario: str, case: Case, faint: Sequence[Line], bold: Sequence[Line]) -> Markup:
    xs = [x for line in faint for x, _ in line.points]
    ys = [y for line in faint for _, y in line.points]
    worst = "; ".join(
        f"{line.name} {number(max(y for one in faint if one.kind == line.kind for _, y in one.points))} ms"
        for line in bold
    )
    return Lines(
        f"time-{scenario}",
        titled(case),
        f"p99 of each half second. The worst half second: {worst}.",
        lambda box: between("seconds since the start", 0.0, max(xs), box.left, box.right),
        log_axis("p99, ms", ys),
        [*faint, *bold],
    ).draw()
