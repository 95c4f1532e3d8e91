"""A report and its progress as text that a person can read, and send to a network administrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tricast.probe.measure import printable
from tricast.probe.observation import Finding, Uplink, Verdict
from tricast.probe.report import Report
from tricast.probe.run import OnStep, Step

NAMES = {"ws": "WebSocket", "sse": "event stream", "poll": "long poll", "uplink": "POST /send"}
WIDTH = 80
"""Columns that the table needs; in a narrower window it wraps, but nothing of it is left out."""
LEGEND = (
    "Milliseconds until the headers came (opened) and the first frame (first), the most that a frame was later than\n"
    "the quickest (delay), and there and back (trip). A long poll is held for a moment on purpose."
)


@contextmanager
def progress(console: Console) -> Iterator[OnStep]:
    """Spinners on a terminal, else one line for each part that is done."""
    if not console.is_terminal:
        yield lambda step: None if step.result is None else console.print(_line(step))
        return
    columns = SpinnerColumn(finished_text="·"), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[tuple[str, bool], TaskID] = {}

        def show(step: Step) -> None:
            key = step.what, step.long
            if key not in tasks:
                tasks[key] = bars.add_task(_line(step).plain, total=1)
            done = 0 if step.result is None else 1
            bars.update(tasks[key], description=_line(step).plain, completed=done)

        yield show


def _line(step: Step) -> Text:
    name = NAMES[step.what] + (", long run" if step.long else "")
    return Text(f"{name}: {'...' if step.result is None else step.result.verdict.words}", style="dim")


def show(report: Report, console: Console) -> None:
    """The whole report."""
    when = datetime.fromtimestamp(report.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    console.print(Text(f"tricast probe of {report.url}, {when}, {report.took:.1f} s", style="bold"))
    if report.proxy is not None:
        console.print(Text(f"The environment names a proxy for it: {printable(report.proxy)}"))
    console.print()
    if not report.reachable:
        _unreachable(report, console)
        return
    console.print(_table(report), width=max(console.width, WIDTH))
    console.print(Text(LEGEND, style="dim"))
    _details(report, console)
    _seen(report.seen, console)
    _order(report, console)
    if report.advice:
        _heading("For whoever runs the network or the proxy", console)
        for line in report.advice:
            console.print(Text(f"- {line}"))


def _unreachable(report: Report, console: Console) -> None:
    if any(found.verdict is Verdict.no_answer for found in report.findings.values()):
        what = f"The server at {report.authority} does not answer: connections are made, and nothing comes back."
    else:
        what = f"The server at {report.authority} cannot be reached."
    console.print(Text(what, style="bold red"))
    for detail in dict.fromkeys(found.detail for found in report.findings.values()):
        console.print(Text(f"  {detail}"))
    for line in report.advice:
        console.print(Text(f"- {line}"))


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("transport", "verdict"):
        table.add_column(column, no_wrap=True)
    for column in ("opened", "first", "delay", "trip", "frames"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in report.findings.items():
        figures = found.figures
        times = figures.opened, figures.first_frame, figures.delay_max, figures.round_trip
        frames = f"{figures.frames} of {figures.expected}"
        table.add_row(NAMES[name], _verdict(found), *map(_ms, times), frames)
    if report.uplink is not None:
        table.add_row(NAMES["uplink"], _verdict(report.uplink), "", "", "", _ms(report.uplink.round_trip), "")
    return table


def _verdict(found: Finding | Uplink) -> Text:
    if found.verdict is Verdict.clean:
        return Text(found.verdict.words, style="green")
    return Text(found.verdict.words, style="yellow" if found.verdict.usable else "red")


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f}"


def _details(report: Report, console: Console) -> None:
    _heading("What was seen", console)
    for name, found in report.findings.items():
        console.print(Text(f"- {NAMES[name]}: {found.detail}"))
        if found.idle_passed is not None:
            console.print(Text(f"  {found.idle_passed:.0f} s without traffic were no trouble."))
    if report.uplink is not None:
        console.print(Text(f"- {NAMES['uplink']}: {report.uplink.detail}"))


def _seen(seen: dict[str, Any] | None, console: Console) -> None:
    if seen is None:
        return
    _heading("How this looked to the server", console)
    console.print(Text(f"- address {_word(seen.get('address'))}, HTTP/{_word(seen.get('http'))}"))
    headers = seen.get("headers")
    for name, values in headers.items() if isinstance(headers, dict) else ():
        if name not in ("Upgrade", "Connection"):  # that they came is no news: the transport would not work else
            text = ", ".join(map(_word, values)) if isinstance(values, list) else _word(values)
            console.print(Text(f"- {_word(name)}: {text}"))


def _word(value: object) -> str:
    return printable(str(value))


def _order(report: Report, console: Console) -> None:
    if not report.works:
        console.print(Text("\nThe server answers, but nothing works: no transport gets a message through.", "bold red"))
        return
    _heading("Recommended order", console)
    for place, choice in enumerate(report.order, 1):
        console.print(Text(f"{place}. {NAMES[choice.transport]}: {choice.reason}"))
    if all(report.findings[choice.transport].verdict is Verdict.uplink_blocked for choice in report.order):
        console.print(Text("Messages can be received here, but none can be sent.", style="bold yellow"))
    wait, beat = f"{report.poll_wait:.0f} s", f"{report.heartbeat:.0f} s"
    console.print(Text(f"A poll should wait {wait} at most, and silent streams carry a heartbeat every {beat}."))


def _heading(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text, style="bold"))
