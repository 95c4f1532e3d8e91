"""results.json to the file and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tricast_bench.results import Metrics, NoResults, Results, Run, Settings, dump, dumps, load, loads

RUN = Run(
    scenario="broadcast",
    parameters={"subscribers": 100, "size": 128, "rate": 20.0},
    transport="sse",
    repeat=1,
    order=0,
    started_at="2026-11-22T03:00:00Z",
    seconds=2.0,
    warm_up=0.5,
    metrics=Metrics(p50_ms=1.5, delivered=4000, lost=0),
    series=((0.0, 1.5, 2.0, 1000), (0.5, 1.4, 2.1, 1000)),
)
RESULTS = Results(
    started="2026-11-22T03:00:00Z",
    seconds=12.5,
    command=("tricast", "bench"),
    environment={"kernel": "Linux"},
    settings=Settings(quick=True, repeat=3, seed=1, transports=("ws", "sse"), skipped={"nginx": "not installed"}),
    runs=(RUN, RUN),
)


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    dump(RESULTS, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == RESULTS


def test_no_runs_are_results_too() -> None:
    empty = Results(started="", seconds=0.0, command=(), environment={}, settings=RESULTS.settings, runs=())
    assert loads(dumps(empty)) == empty


def test_members_of_a_later_version_are_left_out() -> None:
    members = json.loads(dumps(RESULTS))
    members["later"] = members["runs"][0]["later"] = members["runs"][0]["metrics"]["later"] = 1
    assert loads(json.dumps(members)) == RESULTS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "no runs"),
        ("{}", "no runs"),
        ('{"format":99,"runs":[]}', "format 99"),
        ('{"format":1,"runs":[]}', "not whole"),
        ('{"format":1,"runs":[{}],"command":[],"settings":{}}', "not whole"),
    ],
)
def test_what_is_something_else_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(NoResults, match=rf"other\.json: .*{reason}"):
        load(path)


def test_a_case_is_what_is_measured_apart_from_when() -> None:
    members = json.loads(dumps(RESULTS))
    members["runs"][1].update(parameters={"rate": 20.0, "subscribers": 100, "size": 128}, repeat=2, order=7)
    first, second = loads(json.dumps(members)).runs
    assert first.case == second.case
