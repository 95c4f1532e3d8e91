"""Charts: scales, ticks, labels, and that nothing is drawn which has no place."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tricast_bench.report.axes import between, linear, logarithmic
from tricast_bench.report.markup import Markup, coordinate, join, tag
from tricast_bench.report.svg import LABEL_GAP, Bar, Bars, Line, Lines, spread


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.0, 13.7], ["0", "5", "10", "15"]),
        ([240.0], ["0", "100", "200", "300"]),
        ([0.7], ["0.0", "0.2", "0.4", "0.6", "0.8"]),
        ([0.95], ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ([0.0], ["0.00", "0.25", "0.50", "0.75", "1.00"]),
    ],
)
def test_ticks_are_round(values: list[float], words: list[str]) -> None:
    axis = linear("", values, 0, 100)
    assert [word for _, word in axis.ticks] == words
    assert axis.scale.at(0) == 0
    assert axis.scale.at(axis.ticks[-1][0]) == 100


def test_an_axis_goes_below_nought_where_values_do() -> None:
    axis = linear("", [-2.0, 9.0], 0, 100, low=-2.0)
    assert axis.ticks[0][0] <= -2.0
    assert 0 < axis.scale.at(0.0) < 100


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.2, 18.0], ["1", "2", "5", "10", "20"]),
        ([0.02, 0.3], ["0.02", "0.05", "0.1", "0.2", "0.5"]),
        ([10.0, 10.0], ["10", "20"]),
        ([4.0, 9_000.0], ["10", "100", "1,000", "10,000"]),
    ],
)
def test_logarithmic_ticks(values: list[float], words: list[str]) -> None:
    axis = logarithmic("", values, 0, 100)
    assert [word for _, word in axis.ticks if word in words] == words
    assert all(0 <= axis.scale.at(value) <= 100 for value in values)
    assert len(axis.ticks) <= 9
    assert axis.scale.at(axis.scale.high) == pytest.approx(100)


def test_an_axis_may_end_where_the_values_do() -> None:
    axis = between("", 0.0, 11.5, 0, 100)
    assert [word for _, word in axis.ticks] == ["0", "5", "10", "11.5"] or axis.ticks[-1][1] == "11.5"
    assert between("", 0.0, 0.0, 0, 100).scale.at(0.0) == 0


def test_labels_keep_apart_and_inside() -> None:
    moved = spread([50.0, 51.0, 52.0, 120.0, 199.0], 0, 200)
    ordered = sorted(moved)
    assert all(b - a >= LABEL_GAP - 0.5 for a, b in pairwise(ordered))
    assert moved[3] == 120.0
    assert max(moved) <= 200
    assert spread([], 0, 1) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_has_no_place_is_not_drawn(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        coordinate(value)


def test_a_chart_of_lines_is_a_picture_with_a_name() -> None:
    chart = Lines(
        "one",
        "A <title>",
        "What & why",
        lambda box: linear("x", [3.0], box.left, box.right),
        lambda box: logarithmic("y", [1.0, 100.0], box.bottom, box.top),
        [Line("ws", [(1.0, 2.0), (2.0, 50.0)], "WebSocket"), Line("sse", [(1.0, 3.0)])],
    ).draw()
    root = ElementTree.fromstring(chart)
    assert root.attrib["role"] == "img"
    assert [root.findtext("title"), root.findtext("desc")] == ["A <title>", "What & why"]
    assert root.attrib["aria-labelledby"] == "one-title one-about"
    paths = [path.attrib["d"] for path in root.iter("path")]
    assert len(paths) == 2
    assert all(re.fullmatch(r"M[\d. ]+(L[\d. ]+)*", path) for path in paths)
    assert [label.text for label in root.iter("text") if "label" in label.attrib["class"]] == ["WebSocket"]


def test_bars_stand_on_nought_and_carry_their_interval() -> None:
    bars = [
        Bar("ws", "WebSocket", [("payload", 10.0), ("down", 30.0)], "40", 35.0, 45.0),
        Bar("sse", "SSE", [("sse", 0)], "0"),
    ]
    root = ElementTree.fromstring(Bars("two", "Title", "", "B", [("group", bars)]).draw())
    first, second, third = list(root.iter("rect"))
    assert float(second.attrib["x"]) == pytest.approx(float(first.attrib["x"]) + float(first.attrib["width"]), abs=0.02)
    assert float(second.attrib["width"]) == pytest.approx(3 * float(first.attrib["width"]), rel=0.01)
    assert float(third.attrib["width"]) == 0
    assert len(list(root.iter("path"))) == 1


def test_everything_that_is_no_markup_is_escaped() -> None:
    made = tag("p", "<b>", tag("b", "a & b"), title='"quoted" <', class_=None)
    assert made == '<p title="&quot;quoted&quot; &lt;">&lt;b&gt;<b>a &amp; b</b></p>'
    assert join(["<", Markup("<br>")], ", ") == "&lt;, <br>"
    assert tag("p", "a\u202eb\x00c") == "<p>a\ufffdb\ufffdc</p>"
