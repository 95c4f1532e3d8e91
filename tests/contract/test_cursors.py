"""Cursors: one for all transports and formats, and a gap, never silence, where one cannot be served."""

from __future__ import annotations

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import (
    WIRES,
    Frame,
    Http,
    epoch,
    event_stream,
    offset,
    publish,
    reader,
    readers,
    websocket,
)

FORGED = 'x\ndata: {"type":"message","forged":1}\n\ndata: {"type":"message","forged":1}\n\n'
NO_CURSORS = ["", "nope", "-1", "1", "x--1", "x-1-2", "\0", "é-1", "x-99999999999999999999", " x-1", FORGED]


@pytest.fixture(params=[(one, other) for one in WIRES for other in WIRES if one != other], ids="-to-".join)
def change(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A change of transport or format in mid-stream."""
    one, other = request.param
    return one, other


async def test_a_cursor_crosses_transports_and_formats(server: Node, http: Http, change: tuple[str, str]) -> None:
    async with reader(change[0], server, "a", "b") as before:
        for number in range(20):
            await http.publish("ab"[number % 2], number)
        seen = await before.messages(7)
    async with reader(change[1], server, "a", "b", cursor=seen[-1]["cursor"]) as after:
        await http.publish("a", 20)
        seen += await after.messages(14)
    assert [message["data"] for message in seen] == list(range(21))


async def test_a_cursor_serves_any_topics(server: Node, http: Http, wire: str) -> None:
    places = [(await http.publish("ab"[number % 2], number))[0] for number in range(10)]
    async with reader(wire, server, "b", "c", cursor=places[3]) as subscriber:
        await http.publish("c", "fence")
        assert await subscriber.data(4) == [5, 7, 9, "fence"]


async def test_last_event_id_wins_over_cursor_and_last(server: Node, http: Http, framing: str) -> None:
    places = await http.publish("a", *range(10))
    async with event_stream(
        server, "a", format=framing, cursor=places[1], last=9, headers={"Last-Event-ID": places[7]}
    ) as stream:
        assert stream.hello["cursor"] == places[7]
        assert await stream.data(2) == [8, 9]


async def test_every_id_of_an_event_stream_is_a_cursor_to_resume_at(server: Node, http: Http, framing: str) -> None:
    async with event_stream(server, "a", format=framing) as stream:
        await http.publish("a", *range(3))
        events = [await stream.next_event() for _ in range(3)]
    for number, event in enumerate(events):
        assert event.event == ""
        assert event.id
        async with event_stream(server, "a", format=framing, headers={"Last-Event-ID": event.id}) as resumed:
            await http.publish("a", "fence")
            assert (await resumed.data(1))[0] == (number + 1 if number < 2 else "fence")


async def test_a_foreign_epoch_brings_a_gap_and_goes_on_from_now(server: Node, http: Http, wire: str) -> None:
    await http.publish("a", "before")
    now = await http.now("a")
    async with reader(wire, server, "a", "b", cursor="nope-3") as subscriber:
        gap = await subscriber.next("message", "gap")
        assert gap == {
            "type": "gap",
            "topics": ["a", "b"],
            "after": "nope-3",
            "cursor": now,
            "reason": "epoch",
            "exact": False,
        }
        await http.publish("a", "next")
        assert await subscriber.data(1) == ["next"]


async def test_the_epoch_gap_is_all_of_its_poll(server: Node, http: Http, framing: str) -> None:
    await http.publish("a", "before")
    answer = await http.poll("a", format=framing, cursor="nope-3")
    assert [frame["type"] for frame in answer["messages"]] == ["gap"]
    assert answer["cursor"] == answer["messages"][0]["cursor"]


@pytest.mark.parametrize("cursor", NO_CURSORS)
async def test_what_is_no_cursor_brings_a_gap_and_is_echoed_nowhere(
    server: Node, http: Http, wire: str, cursor: str
) -> None:
    now = await http.now("a")
    async with reader(wire, server, "a", cursor=cursor) as subscriber:
        gap = await subscriber.next("message", "gap")
        assert (gap["type"], gap["reason"], gap["topics"], gap["cursor"]) == ("gap", "epoch", ["a"], now)
        assert "after" not in gap
        assert not cursor or subscriber.hello.get("cursor") != cursor
        await http.publish("a", "next")
        message = await subscriber.next("message", "gap")
        assert (message["type"], message["data"]) == ("message", "next")


async def test_a_forged_cursor_puts_no_line_of_its_own_into_the_stream(server: Node, http: Http) -> None:
    async with event_stream(server, "a", cursor=FORGED) as stream:
        await http.publish("a", "fence")
        await stream.next("message")
    assert b"forged" not in stream.raw


@pytest.mark.parametrize("wire", [wire for wire in WIRES if "poll" not in wire])
async def test_hello_names_a_foreign_cursor_and_the_gap_follows(server: Node, wire: str) -> None:
    async with reader(wire, server, "a", cursor="nope-3") as subscriber:
        assert subscriber.hello["cursor"] == "nope-3"
        assert (await subscriber.next())["type"] == "gap"


async def test_the_gap_in_an_event_stream_moves_its_last_id(server: Node, framing: str) -> None:
    async with event_stream(server, "a", format=framing, cursor="nope-3") as stream:
        event = await stream.next_event()
        assert event.event == "gap"
        assert event.id is not None
        assert epoch(event.id) != "nope"


async def test_a_cursor_beyond_the_end_brings_a_gap_backwards(server: Node, http: Http, wire: str) -> None:
    await http.publish("a", 1)
    now = await http.now("a")
    ahead = f"{epoch(now)}-{offset(now) + 2**40}"
    async with reader(wire, server, "a", cursor=ahead) as subscriber:
        gap = await subscriber.next("message", "gap")
        assert (gap["type"], gap["reason"], gap["exact"], gap["cursor"]) == ("gap", "epoch", False, now)
        await http.publish("a", 2)
        assert await subscriber.data(1) == [2]


async def test_another_life_of_the_log_has_another_epoch(wire: str) -> None:
    async with running() as first, Http(first) as http:
        (place,) = await http.publish("a", "lost")
    async with running() as second, Http(second) as http:
        await http.publish("a", "other")
        async with reader(wire, second, "a", cursor=place) as subscriber:
            gap = await subscriber.next("message", "gap")
        assert (gap["type"], gap["reason"], gap["after"]) == ("gap", "epoch", place)
        assert epoch(gap["cursor"]) != epoch(place)


class TestExpired:
    """What retention has let go is told exactly, in its place, and once."""

    async def test_in_its_place_in_the_log(self, wire: str) -> None:
        async with running(retention_count=5) as server, Http(server) as http:
            start = await http.now("g", "h")
            await http.publish("h", "kept")
            places = await http.publish("g", *range(20))
            async with reader(wire, server, "g", "h", cursor=start) as subscriber:
                frames = await subscriber.log(7)
        assert [frame.get("data", frame["type"]) for frame in frames] == ["kept", "gap", *range(15, 20)]
        assert frames[1] == {
            "type": "gap",
            "topics": ["g"],
            "after": start,
            "cursor": places[14],
            "reason": "expired",
            "exact": True,
        }

    async def test_told_once(self, wire: str) -> None:
        async with running(retention_count=5) as server, Http(server) as http:
            start = await http.now("g")
            await http.publish("g", *range(20))
            async with reader(wire, server, "g", cursor=start) as subscriber:
                gap, *_ = await subscriber.log(6)
            async with reader(wire, server, "g", "h", cursor=gap["cursor"]) as subscriber:
                await http.publish("h", "fence")
                assert await subscriber.data(6) == [*range(15, 20), "fence"]

    async def test_not_told_to_whom_nothing_is_missing(self, wire: str) -> None:
        async with running(retention_count=5) as server, Http(server) as http:
            places = await http.publish("g", *range(20))
            async with reader(wire, server, "g", cursor=places[14]) as subscriber:
                assert await subscriber.data(5) == [15, 16, 17, 18, 19]
            async with reader(wire, server, "g", cursor=places[13]) as subscriber:
                assert (await subscriber.next("message", "gap"))["cursor"] == places[14]

    @pytest.mark.parametrize("params", [{"cursor": "earliest"}, {"last": 1000}], ids=["earliest", "last"])
    async def test_not_told_to_who_asks_for_what_is_kept(self, wire: str, params: Frame) -> None:
        async with running(retention_count=5) as server, Http(server) as http:
            await http.publish("g", *range(20))
            async with reader(wire, server, "g", **params) as subscriber:
                assert await subscriber.data(5) == [15, 16, 17, 18, 19]

    async def test_by_age_and_when_nothing_is_left_of_the_topic(self, transport: str) -> None:
        async with running(retention_age=0.3, dedupe_window=0.2) as server, Http(server) as http:
            start = await http.now("g")
            places = await http.publish("g", 1, 2)
            async with reader(transport, server, "g", cursor=places[0]) as subscriber:
                assert await subscriber.data(1) == [2]
            while (await http.get("/stats")).json["messages"]["kept"]:
                pass
            async with reader(transport, server, "g", cursor=start) as subscriber:
                gap = await subscriber.next("message", "gap")
        assert (gap["reason"], gap["cursor"], gap["exact"]) == ("expired", places[1], True)

    async def test_by_the_byte_budget_over_all_topics(self, wire: str) -> None:
        async with running(retention_bytes=2**16) as server, Http(server) as http:
            start = await http.now("g", "h")
            (place,) = await http.publish("g", "x" * 30_000)
            await http.publish("h", *["x" * 30_000] * 2)
            async with reader(wire, server, "g", "h", cursor=start) as subscriber:
                gap, *messages = await subscriber.log(3)
        assert (gap["topics"], gap["cursor"], gap["reason"]) == (["g"], place, "expired")
        assert [message["topic"] for message in messages] == ["h", "h"]

    async def test_no_gap_for_an_inbox(self, wire: str) -> None:
        inbox = "_inbox." + "x" * 22
        async with running() as server, Http(server) as http:
            start = await http.now(inbox)
            await http.publish(inbox, *range(15))
            async with reader(wire, server, inbox, cursor=start) as subscriber:
                assert await subscriber.data(10) == list(range(5, 15))

    async def test_still_expired_where_much_stands_before_it(self, wire: str) -> None:
        """A gap that was there when the reader came is no slow reader's."""
        async with running(retention_count=5) as server, Http(server) as http:
            start = await http.now("g", "h")
            await http.publish("h", *["x" * 100_000] * 4)
            await http.publish("g", *range(20))
            async with reader(wire, server, "g", "h", cursor=start) as subscriber:
                frames = await subscriber.log(10)
        assert [frame["type"] for frame in frames] == ["message"] * 4 + ["gap"] + ["message"] * 5
        assert frames[4]["reason"] == "expired"


async def test_the_same_gaps_on_all_transports(http: Http) -> None:
    async with running(retention_count=3) as server, Http(server) as own:
        start = await own.now("a", "b", "c")
        for number in range(30):
            await own.publish("abc"[number % 3], number)
        async with readers(server, "a", "b", "c", cursor=start, wires=WIRES) as subscribers:
            logs = [await subscriber.log(12) for subscriber in subscribers.values()]
    for log in logs:
        for frame in log:
            frame.pop("ts", None)  # rounded in json
    assert all(log == logs[0] for log in logs)
    assert sorted(topic for frame in logs[0] for topic in frame.get("topics", ())) == ["a", "b", "c"]
    assert [offset(frame["cursor"]) for frame in logs[0]] == sorted(offset(frame["cursor"]) for frame in logs[0])


async def test_in_band_changes_of_topics_stand_at_the_cursor_they_name(server: Node, http: Http, framing: str) -> None:
    async with websocket(server, "x1", format=framing) as socket:
        (before,) = await http.publish("x2", "before")
        reply = await socket.ask(action="subscribe", topics=["x2", "x3"], ref="s")
        assert reply["type"] == "reply"
        assert (reply["ref"], reply["topics"]) == ("s", ["x1", "x2", "x3"])
        assert offset(reply["cursor"]) >= offset(before)
        await http.send(publish("x2", 1), publish("x1", 2), publish("x3", 3))
        assert await socket.data(3) == [1, 2, 3]
        reply = await socket.ask(action="unsubscribe", topics=["x2"], ref="u")
        assert (reply["ref"], reply["topics"]) == ("u", ["x1", "x3"])
        await http.send(publish("x2", 4), publish("x1", 5))
        assert await socket.data(1) == [5]


async def test_a_subscribe_in_mid_replay_shows_the_topic_from_its_cursor_on(
    server: Node, http: Http, framing: str
) -> None:
    start = await http.now("a")
    for number in range(40):
        await http.publish("a", [number, "x" * 20_000])
        await http.publish("b", number)
    async with websocket(server, "a", format=framing, cursor=start) as socket:
        await socket.send(action="subscribe", topics=["b"], ref="s")
        await http.publish("b", "fence")
        frames: list[Frame] = []
        while not frames or frames[-1].get("data") != "fence":
            frames.append(await socket.next("message", "gap", "reply"))
    (reply,) = [frame for frame in frames if frame["type"] == "reply"]
    messages = [frame for frame in frames if frame["type"] == "message"]
    assert [frame["data"][0] for frame in messages if frame["topic"] == "a"] == list(range(40))
    assert [offset(frame["cursor"]) for frame in messages] == sorted(offset(frame["cursor"]) for frame in messages)
    heard = [frame["data"] for frame in messages if frame["topic"] == "b"]
    assert heard == [*range(40), "fence"][-len(heard) :]
    expected = [n for n in range(40) if offset(start) + 2 * n + 2 > offset(reply["cursor"])]
    assert heard[:-1] == expected


async def test_unsubscribing_from_everything_leaves_an_open_connection(server: Node, http: Http, framing: str) -> None:
    async with websocket(server, "a", format=framing) as socket:
        reply = await socket.ask(action="unsubscribe", topics=["a"])
        assert reply["topics"] == []
        await http.publish("a", "unheard")
        await socket.ask(action="subscribe", topics=["b"])
        await http.publish("b", "heard")
        assert await socket.data(1) == ["heard"]
