"""The programs of `make soak` and `make abuse` for some seconds, and the line through what they measure."""

from __future__ import annotations

import random

import pytest
from tests.faults.abuse import run
from tests.faults.soak import OPTIONS, Chain, soak
from tests.faults.trend import NOISE, sketch, trend
from tests.helpers import serving

HOUR = 3600


async def test_nothing_is_lost_or_twice_while_clients_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.soak.LIFE", (0.5, 2.0))
    with serving(*OPTIONS) as server:
        outcome = await soak(server, rate=60, seconds=6, warm=3)
    assert not outcome.problems, str(outcome)
    assert outcome.published > 60
    assert outcome.clients > 48
    assert set(outcome.transports) == {"ws", "sse", "poll"}


async def test_an_attack_makes_a_row() -> None:
    with serving() as server:
        (row,) = await run(server, ["nonsense"], 1.0, 0.1, 0.5)
    assert row.got["400"] > 0
    assert min(row.before, row.during, row.cpu, *row.memory) > 0
    assert len(row.cells) == 9


def test_what_is_missing_and_what_comes_twice_is_counted() -> None:
    chain = Chain("a")
    for number in (5, 6, 9, 9, 8, 10):
        chain.take(number)
    assert (chain.first, chain.last, chain.lost, chain.twice) == (5, 10, 2, 2)


@pytest.mark.parametrize(("slope", "grows"), [(0.0, False), (NOISE * 3, True), (-NOISE * 3, False)])
def test_a_line_tells_growth_from_noise(slope: float, grows: bool) -> None:
    chance = random.Random(1)
    points = [(float(at), 80 + slope * at / HOUR + chance.gauss(0, 1)) for at in range(HOUR)]
    found = trend(points)
    assert found.low < slope < found.high
    assert found.grows is grows
    assert len(sketch(points)) > 60


def test_of_a_few_points_nothing_is_sure() -> None:
    assert not trend([(0.0, 1.0), (1.0, 100.0)]).grows
