"""The figures of all sweeps as one picture of small charts, readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tricast_bench.peers.growth.figures import medians
from tricast_bench.peers.growth.measure import Sample
from tricast_bench.peers.growth.points import FEW, SPREAD, TRANSPORTS, Metric
from tricast_bench.report.axes import Axis, linear, logarithmic
from tricast_bench.report.markup import Markup, coordinate, tag
from tricast_bench.report.svg import Bar, Bars, Box, Line, Lines

WIDTH, HEIGHT, GAP, COLUMNS = 400.0, 270.0, 28.0, 2
NAMES = {"ws": "WebSocket", "sse": "SSE", "poll": "long poll"}
STYLE = """
svg{--ground:#fffdf9;--ink:#1f1e1b;--soft:#5f5c55;--line:#e0dbd0;--edge:#8b877d;--ws:#0c6f61;--sse:#a85008;--poll:#6245b2;
--mixed:#5f5c55;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,"DejaVu Sans",sans-serif;
font-size:12px}
@media(prefers-color-scheme:dark){svg{--ground:#17181a;--ink:#e9e6df;--soft:#a5a198;--line:#323338;--edge:#77746d;
--ws:#55c7b4;--sse:#eba261;--poll:#b3a1f3;--mixed:#a5a198}}
.ground{fill:var(--ground)}.title{fill:var(--ink);font-weight:600;font-size:13px}
.name,.value{fill:var(--ink)}.tick,.axis-title,.note{fill:var(--soft);font-size:11px}
.grid{stroke:var(--line)}.axis{stroke:var(--edge)}.ws{--c:var(--ws)}.sse{--c:var(--sse)}.poll{--c:var(--poll)}
.mixed{--c:var(--mixed)}.line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}
.sse .line{stroke-dasharray:7 4}.poll .line{stroke-dasharray:1.5 4.5;stroke-linecap:round}.dot,.piece{fill:var(--c)}
.label{fill:var(--c);font-weight:600;stroke:var(--ground);stroke-width:3px;paint-order:stroke}
"""
Series = tuple[str, str, Metric, str]
"""Its name among the samples, the class of its line, what it shows, and what it is called."""


def picture(samples: Sequence[Sample]) -> str:
    """A file of its own; of sweeps that were not measured there is no chart."""
    charts = [chart for draw in CHARTS if (chart := draw(samples)) is not None]
    rows = -(-len(charts) // COLUMNS)
    width = COLUMNS * WIDTH + (COLUMNS + 1) * GAP
    height = rows * HEIGHT + (rows + 1) * GAP
    placed = [
        _placed(chart, GAP + index % COLUMNS * (WIDTH + GAP), GAP + index // COLUMNS * (HEIGHT + GAP))
        for index, chart in enumerate(charts)
    ]
    whole = tag(
        "svg",
        tag("title", "How the cost of tricast grows"),
        tag("style", Markup(STYLE)),
        tag("rect", x=0.0, y=0.0, width=width, height=height, class_="ground"),
        *placed,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=width,
        height=height,
    )
    return f"{whole}\n"


def _placed(chart: Markup, x: float, y: float) -> Markup:
    where = " ".join(
        f'{key}="{coordinate(value)}"' for key, value in (("x", x), ("y", y), ("width", WIDTH), ("height", HEIGHT))
    )
    return Markup(chart.replace("<svg ", f'<svg {where} preserveAspectRatio="xMinYMin" ', 1))


def _lines(
    sweep: str, title: str, across: str, up: str, series: Sequence[Series], samples: Sequence[Sample]
) -> Markup | None:
    lines = []
    for name, kind, metric, called in series:
        found = medians(samples, sweep, name, metric)
        if len(found) > 1:
            lines.append(Line(kind=kind, name=called, points=list(found.items()), marks=True))
    if not lines:
        return None
    xs, ys = ([point[at] for line in lines for point in line.points] for at in (0, 1))

    def x_axis(box: Box) -> Axis:
        axis = logarithmic(across, xs, box.left, box.right)
        powers = [tick for tick in axis.ticks if math.log10(tick[0]).is_integer()]
        return replace(axis, ticks=powers) if len(powers) > 1 else axis

    def y_axis(box: Box) -> Axis:
        return linear(up, ys, box.bottom, box.top)

    about = "; ".join(f"{line.name}: " + ", ".join(f"{x:g}: {y:.3g}" for x, y in line.points) for line in lines)
    identity = f"{sweep}-{series[0][0]}-{series[0][2]}".replace("_", "-")
    chart = Lines(
        identity=identity, title=title, about=about, x=x_axis, y=y_axis, lines=lines, width=WIDTH, height=HEIGHT
    )
    return chart.draw()


def _connects(samples: Sequence[Sample]) -> Markup | None:
    bars = []
    for name in TRANSPORTS:
        for value in medians(samples, "connects", name, "us_per_connection").values():
            bars.append(Bar(name, NAMES[name], [("own", 1e6 / value)], f"{1e6 / value:,.0f}"))
    if not bars:
        return None
    about = "; ".join(f"{bar.name}: {bar.label}" for bar in bars)
    title = "Connections that a core takes"
    return Bars("connects", title, about, "a second", [("", bars)], width=WIDTH).draw()


def _streams(metric: Metric, *names: str) -> list[Series]:
    return [(name, name, metric, NAMES[name]) for name in names]


CPU = "server CPU per delivery, µs"
CHARTS: tuple[Callable[[Sequence[Sample]], Markup | None], ...] = (
    partial(_lines, "subscribers", "More subscribers", "subscribers", CPU, _streams("us_per_delivery", "ws", "sse")),
    partial(_lines, "subscribers", "More long polls", "subscribers", CPU, _streams("us_per_delivery", "poll")),
    partial(
        _lines,
        "topics",
        "As many connections over more topics",
        "topics",
        CPU,
        [(SPREAD, "ws", "us_per_delivery", "spread"), (FEW, "mixed", "us_per_delivery", "one alone")],
    ),
    partial(_lines, "retained", "More messages kept", "messages", CPU, [("ws", "ws", "us_per_delivery", "WebSocket")]),
    partial(
        _lines,
        "retained",
        "Catching up from the oldest",
        "messages",
        "time per message, µs",
        [("ws", "ws", "us_catch_up", "WebSocket")],
    ),
    partial(_lines, "size", "Larger messages", "bytes", CPU, [("ws", "ws", "us_per_delivery", "WebSocket")]),
    partial(
        _lines,
        "memory",
        "Idle connections",
        "connections",
        "memory per connection, KiB",
        _streams("kib_per_connection", *TRANSPORTS),
    ),
    _connects,
)
"""In the order of the picture."""
