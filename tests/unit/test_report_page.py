"""report.html as a file: whole, the same each time, and safe whatever stands in the results."""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.helpers_report import run, sample

import tricast_bench.report.raw as raw_module
from tricast_bench.report import page, write
from tricast_bench.report.checked import checked
from tricast_bench.report.histograms import merged, spectrum
from tricast_bench.results import Metrics, Results, Settings, dumps, loads

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"


class Outline(HTMLParser):
    """What tags and attributes there are, whether they are closed, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def results() -> Results:
    return sample()


@pytest.fixture(scope="module")
def html(results: Results) -> str:
    return page(results)


def test_the_same_results_make_the_same_file(results: Results, html: str, tmp_path: Path) -> None:
    write(loads(dumps(results)), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_it_is_whole_and_has_its_parts_in_order(html: str) -> None:
    outline = Outline(html)
    assert outline.open == []
    sections = [attributes["id"] for tag, attributes in outline.tags if tag == "section"]
    assert sections == ["answer", "guide", "figures", "cases", "runs", "environment", "limits", "again"]
    identities = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for words in (
        "Proxies passed",
        "12 of 21",
        "no difference",
        "the load took 84% of its core",
        "nginx is not installed",
    ):
        assert words in outline.text
    assert "tricast bench --out 'bench results'" in outline.text
    assert "not measured" not in outline.text


def test_formats_stand_side_by_side(results: Results) -> None:
    parameters = {"subscribers": 50, "rate": 20.0, "size": 1024, "content": "text"}
    ways = (("json", False, 1200, 10.0), ("json", True, 600, 15.0), ("protobuf", False, 1140, 9.0))
    runs = [
        run(
            "formats",
            parameters={**parameters, "format": format, "compress": compress},
            metrics=Metrics(
                bytes_down_per_message=float(length), server_cpu_us_per_delivery=us, p50_ms=1.0, p99_ms=2.0
            ),
        )
        for format, compress, length, us in ways
    ]
    text = " ".join(Outline(page(replace(results, runs=tuple(runs)))).text.split())
    assert "50 clients, 20/s, 1,024 B, text, json, compressed" in text
    for cell in ("WebSocket: text, 1,024 B", "1,200 B", "600 B × 0.500", "1,140 B × 0.950", "15 µs × 1.50"):
        assert cell in text, cell
    assert "side by side" not in Outline(page(results)).text


def test_it_asks_for_nothing_and_runs_nothing(html: str) -> None:
    outline = Outline(html)
    tags = {tag for tag, _ in outline.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "base", "form"}
    for tag, attributes in outline.tags:
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes), tag
        target = attributes.get("href") or "#"
        assert target.startswith(("#", "data:application/")), target
    assert "url(" not in html
    assert "@import" not in html
    [policy] = [attributes["content"] for _, attributes in outline.tags if "http-equiv" in attributes]
    assert (policy or "").startswith("default-src 'none'")


def test_figures_are_drawn_with_numbers(html: str) -> None:
    outline = Outline(html)
    pictures = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert len(pictures) == 13
    paths = [attributes["d"] for tag, attributes in outline.tags if tag == "path"]
    assert len(paths) > 50
    assert all(path and re.fullmatch(r"[MLHV\d. -]+", path) for path in paths)
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", outline.text)


def test_the_raw_results_are_in_it(results: Results, html: str) -> None:
    [link] = [attributes for tag, attributes in Outline(html).tags if tag == "a" and "download" in attributes]
    assert link["download"] == "results.json"
    head, _, data = (link["href"] or "").partition(",")
    assert head == "data:application/json;base64"
    assert loads(base64.b64decode(data).decode()) == results


def test_raw_results_that_are_too_large_lose_parts_and_say_so(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(dumps(results))
    for limit, left_out in ((whole // 2, None), (60_000, "histograms"), (2_000, None)):
        monkeypatch.setattr(raw_module, "LARGEST", limit)
        made = raw_module.raw(results)
        if limit == 2_000:
            assert made is None
            continue
        assert made is not None
        assert made.name == "results.json.gz"
        assert (made.left_out or "").startswith(left_out or "")
        kept = loads(gzip.decompress(base64.b64decode(made.href.partition(",")[2])).decode())
        assert len(kept.runs) == len(results.runs)
        assert (kept.runs[0].histogram is None) == (left_out is not None)
    assert "too large" in page(replace(results, runs=results.runs[:40]))


def test_a_large_run_stays_below_two_million_bytes(results: Results) -> None:
    chance = random.Random(0)
    noise = [replace(one, histogram=base64.b64encode(chance.randbytes(3000)).decode()) for one in results.runs]
    assert len(page(replace(results, runs=tuple(noise * 3)))) < 2_000_000


def test_nothing_was_measured() -> None:
    settings = Settings(quick=True, repeat=0, seed=1, transports=("ws",), skipped={"echo": "no reason"})
    empty = Results(started="", seconds=0.0, command=(), environment={}, settings=settings, runs=())
    outline = Outline(page(empty))
    assert outline.text.count("not measured") == 46
    assert "svg" not in {tag for tag, _ in outline.tags}
    for name in ("echo", "broadcast", "idle", "knee", "delay"):
        assert f"tricast bench --scenario {name}" in outline.text
    assert "The load was not stepped up" in outline.text


@pytest.mark.parametrize("repeat", [1, 2])
def test_few_rounds_are_reported_as_such(repeat: int) -> None:
    outline = Outline(page(sample(repeat)))
    assert outline.open == []
    assert "too few runs to compare" in outline.text
    assert ("one run" if repeat == 1 else "two runs") in outline.text


def test_only_void_runs() -> None:
    void = replace(sample(1), runs=tuple(replace(one, void="too busy") for one in sample(1).runs))
    outline = Outline(page(void))
    assert "only void runs" in outline.text
    assert "are void, so what is left is thin" in outline.text
    assert "more, in the raw results" not in outline.text or len(void.runs) > 40


def test_names_of_others_are_escaped(results: Results) -> None:
    evil = run(
        EVIL,
        parameters={EVIL: EVIL, "through": EVIL, "shape": EVIL, "rate": EVIL},
        started_at=EVIL,
        void=None,
        metrics=Metrics(p50_ms=1.0),
    )
    settings = Settings(quick=False, repeat=1, seed=1, transports=(EVIL,), target=EVIL, skipped={EVIL: EVIL})
    made = Results(
        started=EVIL,
        seconds=1.0,
        command=("tricast", EVIL),
        environment={EVIL: EVIL, "packages": {EVIL: EVIL}, "commit": EVIL},
        settings=settings,
        runs=(
            evil,
            replace(evil, scenario="broadcast", void=EVIL),
            replace(evil, scenario="fallback", metrics=Metrics(time_to_first_ms=1.0)),
        ),
    )
    outline = Outline(page(made))
    assert outline.open == []
    assert not {"script", "img"} & {tag for tag, _ in outline.tags}
    assert EVIL in outline.text


def test_values_of_a_wrong_kind_are_left_out(results: Results) -> None:
    members: dict[str, Any] = json.loads(dumps(results))
    wrong = [EVIL, math.nan, math.inf, -math.inf, 10**400, True, [1], {"a": 1}, -5, None]
    chance = random.Random(1)
    for one in members["runs"]:
        for name in one["metrics"]:
            if chance.random() < 0.4:
                one["metrics"][name] = chance.choice(wrong)
        for name in one["parameters"]:
            if chance.random() < 0.1:
                one["parameters"][name] = chance.choice(wrong[:6])
        one["histogram"] = chance.choice([one["histogram"], EVIL, 7, "", "HISTFAAAAA", "AAAA" * 30_000])
        one["series"] = chance.choice([one["series"], [[EVIL, 1, 2, 3]], [[0, math.nan, 1, 1]]])
        one["repeat"], one["seconds"] = chance.choice([one["repeat"], EVIL]), chance.choice([1.0, EVIL])
    members.update(environment=EVIL, seconds=EVIL)
    members["settings"].update(skipped=EVIL, repeat=EVIL, server_core=EVIL)
    outline = Outline(page(loads(json.dumps(members))))
    assert outline.open == []
    assert not {"script", "img"} & {tag for tag, _ in outline.tags}
    assert not any(re.search(r"nan|inf", attributes.get("d") or "") for _, attributes in outline.tags)


def test_sound_results_are_left_as_they_are(results: Results) -> None:
    assert checked(results) == results


def test_histograms_are_merged_and_read_at_their_percentiles(results: Results) -> None:
    runs = [one for one in results.valid("broadcast") if one.transport == "ws" and one.parameters["subscribers"] == 100]
    whole = merged([one.histogram for one in runs])
    assert whole is not None
    points = spectrum(whole)
    assert points == sorted(points)
    assert points[0][0] == 1.0
    assert points[-1][1] == pytest.approx(max(one.metrics.max_ms or 0 for one in runs), rel=0.002)
    at_p99 = next(value for place, value in points if place >= 100)
    assert at_p99 == pytest.approx(runs[0].metrics.p99_ms or 0, rel=0.5)
    assert merged([None, "", "nonsense"]) is None
