"""Lives of a JetStream stream, told apart without an engine."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.js import api

from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import EpochStarted, Publication, Record
from tricast_server.backplane.nats import NatsBackplane
from tricast_server.backplane.nats_stream import EPOCH, START, Life, Witness, message_id
from tricast_server.backplane.nats_tail import Tail
from tricast_server.backplane.stored import dump

LIFE = Life("e1", "bus.e1", 0, 3, None)


def info(first: int, last: int, *, subjects: list[str] | None = None, **metadata: str) -> api.StreamInfo:
    state = api.StreamState(messages=0, bytes=0, first_seq=first, last_seq=last, consumer_count=0)
    names = {EPOCH: "e1", START: "0", **{key.replace("_", "-"): value for key, value in metadata.items()}}
    config = api.StreamConfig(name="bus", subjects=subjects or ["bus.e1"], metadata=names)
    return api.StreamInfo(config=config, state=state, created=datetime.now(UTC))


class TestLife:
    @pytest.mark.parametrize(
        ("first", "last", "start", "expected"),
        [(0, 0, "0", (0, 0)), (1, 0, "0", (0, 0)), (1, 5, "0", (0, 5)), (4, 9, "0", (3, 9)), (4, 9, "7", (7, 9))],
        ids=repr,
    )
    def test_it_starts_after_what_is_gone_and_what_is_of_another(
        self, first: int, last: int, start: str, expected: tuple[int, int]
    ) -> None:
        life = Life.of(info(first, last, tricast_start=start))
        assert life is not None
        assert (life.epoch, life.subject) == ("e1", "bus.e1")
        assert (life.start, life.end) == expected

    @pytest.mark.parametrize(
        "other",
        [
            {"subjects": ["foo"]},
            {"subjects": ["bus.e1", "foo"]},
            {"tricast_epoch": "e2"},
            {"tricast_epoch": ""},
            {"tricast_start": "x"},
        ],
        ids=repr,
    )
    def test_a_stream_that_does_not_say_it_so_has_none(self, other: dict[str, Any]) -> None:
        assert Life.of(info(1, 5, **other)) is None


def test_message_ids_differ_where_any_part_does() -> None:
    def key(topic: str, id: str, subject: str | None, epoch: str = "e1") -> str:
        return message_id(epoch, Publication(topic=topic, data="1", id=id, subject=subject))

    keys = [
        key("a", "1", None),
        key("a", "1", None, "e2"),
        key("b", "1", None),
        key("a", "2", None),
        key("a", "1", ""),
        key("a", "1", "None"),
        key("a.b", "c", None),
        key("a", "b.c", None),
    ]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
    assert key("a", "1", "anna") == key("a", "1", "anna")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">", "a/b"])
async def test_a_name_that_is_none_for_a_stream_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stream"):
        NatsBackplane("nats://127.0.0.1:1", name)


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1", "nats://", "nats://127.0.0.1,", "nats:127.0.0.1"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        NatsBackplane(url)


def message(number: int) -> bytes:
    return dump(Publication(topic="a", data=str(number)), 1.0)


class TestTail:
    """What a tail makes of the messages that its consumer brings. It stands after 0."""

    @pytest.fixture
    def records(self) -> list[Record]:
        return []

    @pytest.fixture
    async def tail(self, records: list[Record]) -> Tail:
        tail = Tail(lambda batch: records.extend(batch), "bus", Witness())
        tail.epoch = "e1"
        return tail

    async def test_what_comes_in_one_tick_is_one_batch(self) -> None:
        batches: list[int] = []
        tail = Tail(lambda batch: batches.append(len(batch)), "bus", Witness())
        for number in (1, 2, 3):
            assert tail.take(number, LIFE.subject, message(number), LIFE)
        assert batches == []
        await asyncio.sleep(0)
        assert batches == [3]

    async def test_a_hole_starts_it_anew(self, tail: Tail, records: list[Record]) -> None:
        for number in (1, 4, 5):
            assert tail.take(number, LIFE.subject, message(number), LIFE)
        await asyncio.sleep(0)
        assert [at(record) for record in records] == [1, Cursor("e1", 3), 4, 5]

    async def test_what_is_left_of_the_epoch_before_is_passed_over(self, tail: Tail, records: list[Record]) -> None:
        assert tail.take(1, "bus.e0", message(1), LIFE)
        assert tail.take(2, LIFE.subject, message(2), LIFE)
        await asyncio.sleep(0)
        assert [at(record) for record in records] == [2]

    async def test_what_came_since_in_another_epoch_is_not_taken(self, tail: Tail, records: list[Record]) -> None:
        assert not tail.take(4, "bus.e2", message(4), LIFE)
        await asyncio.sleep(0)
        assert records == []
        assert tail.offset == 0

    async def test_what_cannot_be_read_is_lost_and_said(
        self, tail: Tail, records: list[Record], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert tail.take(1, LIFE.subject, b"junk", LIFE)
        assert tail.take(2, LIFE.subject, message(2), LIFE)
        await asyncio.sleep(0)
        assert [at(record) for record in records] == [Cursor("e1", 1), 2]
        assert "message 1 of stream bus" in caplog.text

    async def test_nothing_is_delivered_after_its_end(self, tail: Tail, records: list[Record]) -> None:
        tail.take(1, LIFE.subject, message(1), LIFE)
        tail.end()
        await asyncio.sleep(0)
        assert records == []


def at(record: Record) -> int | Cursor:
    return record.at if isinstance(record, EpochStarted) else record.offset


def test_a_witness_remembers_the_last_message() -> None:
    witness = Witness()
    for sequence, payload in ((1, b"a"), (3, b"c"), (2, b"b")):
        witness.saw(sequence, payload)
    assert (witness.seen, witness.payload) == (3, b"c")
