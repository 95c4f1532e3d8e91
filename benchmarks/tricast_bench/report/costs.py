"""The figures of costs: CPU, memory, bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tricast_bench.report.axes import between, linear
from tricast_bench.report.cases import Case, reference
from tricast_bench.report.markup import Markup
from tricast_bench.report.panels import SHORT, Figure, titled
from tricast_bench.report.summary import Summary
from tricast_bench.report.svg import Bar, Bars, Line, Lines
from tricast_bench.report.words import interval, number
from tricast_bench.results import Transport

CPU_SCENARIOS = ("echo", "broadcast", "payload", "mixed", "slow", "delay", "nginx")
LARGEST = 2048
"""Bytes of payload beyond which what is added to it cannot be seen."""
MEMORY = "server_memory_per_connection"


def cpu(summary: Summary) -> Figure:
    some = [case for case in summary.cases if case.scenario in CPU_SCENARIOS]
    return Figure(
        "cpu",
        "Server CPU for each delivery",
        "User and system time of the server’s process, publishing included, divided by deliveries: medians with their "
        "95% intervals. The two panels have scales of their own.",
        _panels("cpu", "µs for each delivery", "µs of server CPU for each delivery", some, _cpu_bar),
        "No run knows the server’s CPU.",
    )


def _panels(
    identity: str, axis: str, about: str, some: Iterable[Case], bar_of: Callable[[Case, Transport], Bar | None]
) -> list[Markup]:
    """One to many, and there and back, which costs several times as much."""
    known: dict[bool, list[tuple[str, Sequence[Bar]]]] = {False: [], True: []}
    for case in some:
        bars = [bar for name in case.transports() if (bar := bar_of(case, name)) is not None]
        if any(value > 0 for bar in bars for _, value in bar.pieces):
            known[bool(case.parameters.get("own_topics"))].append((titled(case), bars))
    panels = []
    for back, groups in known.items():
        if groups:
            said = "; ".join(
                f"{heading}: {', '.join(f'{bar.name} {bar.label}' for bar in bars)}" for heading, bars in groups
            )
            title = "There and back" if back else "One to many"
            panels.append(Bars(f"{identity}-{int(back)}", title, f"{about}. {said}.", axis, groups).draw())
    return panels


def _cpu_bar(case: Case, name: Transport) -> Bar | None:
    of = case.estimate(name, "server_cpu_us_per_delivery")
    if of is None or of.low < 0:
        return None
    return Bar(name, SHORT[name], [(name, of.value)], number(of.value), of.low, of.high)


def memory(summary: Summary) -> Figure:
    case = reference(summary.of("idle"))
    return Figure(
        "memory",
        "Memory by number of connections",
        "What the server’s resident memory grows by between two populations: the slope is what a connection takes, "
        "without what the process takes anyway. A faint line is one round, a strong one the median. The kernel’s "
        "socket buffers are not in it.",
        [] if case is None else _slopes(case),
        "The memory of connections was not measured: measure scenario idle.",
    )


def _slopes(case: Case) -> list[Markup]:
    few, more = case.number("subscribers"), case.number("more")
    each = {name: of for name in case.transports() if (of := case.estimate(name, MEMORY)) is not None}
    if not each or more <= few:
        return []
    faint, strong, bars = [], [], []
    for name, of in each.items():
        for slope in case.values(name, MEMORY).values():
            faint.append(Line(name, [(few, 0.0), (more, slope * (more - few) / 2**20)]))
        strong.append(Line(name, [(few, 0.0), (more, of.value * (more - few) / 2**20)], SHORT[name], marks=True))
        low, value, high = (max(0.0, part / 1024) for part in (of.low, of.value, of.high))
        bars.append(Bar(name, SHORT[name], [(name, value)], number(of.value / 1024), low, high))
    said = "; ".join(
        f"{SHORT[name]} {number(of.value / 1024)} KiB ({interval(of, 1 / 1024)})" for name, of in each.items()
    )
    values = [value for line in faint for _, value in line.points]
    lines = Lines(
        "memory-slope",
        f"From {few:,g} to {more:,g} connections",
        f"Growth of the server’s resident memory. Each connection takes: {said}.",
        lambda box: between("connections", few, more, box.left, box.right),
        lambda box: linear("resident memory added, MiB", values, box.bottom, box.top, low=min(0.0, *values)),
        [*faint, *strong],
    )
    about = f"Memory of each connection: {said}."
    each_one = Bars("memory-each", "Each connection", about, "KiB for each connection", [("", bars)])
    return [lines.draw(), *([each_one.draw()] if any(bar.pieces[0][1] > 0 for bar in bars) else [])]


def bytes_each(summary: Summary) -> Figure:
    some = [reference(summary.of(scenario)) for scenario in ("echo", "broadcast")]
    small = [
        case for case in (*some, *summary.of("payload")) if case is not None and 0 < case.number("size") <= LARGEST
    ]
    return Figure(
        "bytes",
        "Bytes for each message",
        "TCP payload on the subscribers’ connections by the kernel’s count, for each delivery: grey is the message "
        "itself, the strong colour what comes with it on the way down, the light one what is sent up. Headers of TCP "
        f"and IP are not in it. Payloads above {LARGEST:,} bytes hide the rest, and are left to the tables.",
        _panels("bytes", "bytes for each message, down + up", "Bytes for each message, down + up", small, _bytes_bar),
        f"No run with a payload of at most {LARGEST:,} bytes counted its bytes.",
    )


def _bytes_bar(case: Case, name: Transport) -> Bar | None:
    down, up = case.estimate(name, "bytes_down_per_message"), case.estimate(name, "bytes_up_per_message")
    if down is None or up is None or min(down.value, up.value) < 0:
        return None
    payload = min(case.number("size"), down.value)
    pieces = [("payload", payload), ("down", down.value - payload), ("up", up.value)]
    return Bar(name, SHORT[name], pieces, f"{down.value:,.0f} + {up.value:,.0f}")
