"""The probe against a real server, through a network that misbehaves, and as the command that a person runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.helpers import HOST, clean_environment, running, serving, unused_port
from typer.testing import CliRunner, Result

from tricast.cli import app
from tricast.errors import Unauthorized
from tricast.probe import Plan, Report, Step, Uplink, Verdict, probe
from tricast_bench.middlebox import Faults, Middlebox

PLAN = Plan(n=10, interval=0.08, patience=0.8)
COMMAND = [sys.executable, "-m", "tricast.cli"]


async def probed(faults: Faults, plan: Plan = PLAN) -> Report:
    async with running() as node, Middlebox(upstream=node.url, faults=faults) as box:
        report = await probe(box.url, plan=plan)
    assert report.took < plan.seconds + 1.5
    return report


def verdicts(report: Report) -> list[str]:
    assert report.uplink is not None
    return [*(found.verdict for found in report.findings.values()), report.uplink.verdict]


CLEAN = "clean clean clean clean"
CASES = {
    "clean": (Faults(), CLEAN),
    "refused": (Faults(refuse_upgrade=403), "refused clean clean clean"),
    "silent": (Faults(ws_silence="both"), "silent clean clean clean"),
    "swallowed": (Faults(blackhole={"ws": True}), "no_answer clean clean clean"),
    "one way": (Faults(ws_silence="up"), "uplink_blocked clean clean clean"),
    "held": (Faults(sse_hold_body=True), "clean buffered clean clean"),
    "late by one": (Faults(late_by_one={"ws": True, "sse": True}), "late_by_one late_by_one clean clean"),
    "batched": (Faults(batch_ms={"sse": 205.0}), "clean batched clean clean"),
    "cut": (Faults(cut_after={"ws": 0.5, "sse": 0.5}), "cut cut clean clean"),
    "POST eaten": (Faults(eat_post=True), "clean uplink_blocked uplink_blocked uplink_blocked"),
    "jitter": (Faults(delay_ms=20, jitter_ms=60), CLEAN),
    "nothing passes": (Faults(blackhole=True), "no_answer no_answer no_answer no_answer"),
}


@pytest.mark.parametrize("name", CASES)
async def test_each_fault_is_named(name: str) -> None:
    faults, expected = CASES[name]
    report = await probed(faults)
    assert verdicts(report) == expected.split(), report.to_json()
    assert report.works is (name != "nothing passes")
    assert [choice.transport for choice in report.order] == [
        found.transport
        for found in sorted(report.findings.values(), key=lambda found: list(Verdict).index(found.verdict))
        if found.verdict.usable
    ]


async def test_what_the_server_saw_and_how_long_it_took() -> None:
    report = await probed(Faults(delay_ms=50))
    assert report.seen is not None
    assert report.seen["address"] == HOST
    for found in report.findings.values():
        assert found.figures.opened is not None
        assert found.figures.opened >= 0.1
        assert found.seen is not None
    for trip in (report.findings["ws"].figures.round_trip, report.findings["poll"].figures.round_trip):
        assert trip is not None
        assert 0.1 <= trip < 1.0


async def test_a_long_run_finds_what_is_cut_later() -> None:
    """Seconds in place of a minute: streams are cut at 2 s in spite of traffic, polls and silence at 1.5 s."""
    plan = Plan(n=6, interval=0.1, patience=1.0, long=3.0)
    faults = Faults(cut_after={"ws": 2.0}, idle_after={"sse": 1.5, "poll": 1.5})
    findings = (await probed(faults, plan)).findings
    ws, sse, poll = findings["ws"], findings["sse"], findings["poll"]
    assert ws.verdict is Verdict.cut
    assert ws.cut_after == pytest.approx(2.0, abs=0.4)
    assert sse.verdict is Verdict.clean
    assert sse.idle_cut == pytest.approx(1.5, abs=0.4)
    assert poll.idle_cut == pytest.approx(1.5, abs=0.4)


async def test_a_server_that_wants_a_token_has_no_blocked_uplink() -> None:
    def nobody(*args: object, **options: object) -> object:
        raise Unauthorized("a token is needed")

    async with running(authorise=nobody) as node:  # type: ignore[arg-type]  # it only raises
        report = await probe(node.url, plan=PLAN)
    assert verdicts(report) == ["clean", "clean", "clean", "refused"]
    assert any("token" in line for line in report.advice)


async def test_what_is_no_tricast_server_is_refused_and_said_so() -> None:
    async with running() as node:
        report = await probe(f"{node.url}/elsewhere", plan=PLAN)
    assert report.reachable
    assert not report.works
    assert all(found.status == 404 for found in report.findings.values())


async def test_progress_is_told() -> None:
    steps: list[Step] = []
    async with running() as node:
        await probe(node.url, plan=PLAN, on_step=steps.append)
    begun = [step.what for step in steps if step.result is None]
    ended = [step.what for step in steps if step.result is not None]
    assert sorted(begun) == sorted(ended) == ["poll", "sse", "uplink", "ws"]
    assert any(isinstance(step.result, Uplink) for step in steps)


def command(*args: str) -> Result:
    return CliRunner().invoke(app, ["probe", *args], env=clean_environment())


@pytest.mark.may_block("prints")
def test_the_command_tells_a_person_and_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tricast.probe.command.QUICK_PLAN", PLAN)
    with serving() as server:
        person = command(server.url)
        script = command(f"http://user:secret@{server.authority}", "--json")
    assert person.exit_code == 0, person.output
    for words in ("WebSocket", "clean", "Recommended order", "1. WebSocket", f"address {HOST}"):
        assert words in person.stdout
    assert "long poll: clean" in person.stderr
    assert script.exit_code == 0, script.output
    members = json.loads(script.stdout)
    assert [choice["transport"] for choice in members["order"]] == ["ws", "sse", "poll"]
    assert "secret" not in script.stdout


@pytest.mark.may_block("prints")
def test_the_command_says_that_the_server_cannot_be_reached() -> None:
    port = unused_port()
    done = subprocess.run(
        [*COMMAND, "probe", f"http://{HOST}:{port}"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1, done.stderr
    assert f"The server at {HOST}:{port} cannot be reached." in done.stdout
    assert "Connection refused" in done.stdout
    assert command("ftp://x").exit_code == 2
