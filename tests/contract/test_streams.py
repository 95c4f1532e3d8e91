"""The promise, on every transport and in every format: everything after the cursor, once, in log order."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import WIRES, Http, Reader, offset, publish, reader, readers, websocket

FENCE = "fence"


async def all_up_to_fence(subscriber: Reader, http: Http, topic: str) -> list[object]:
    """What the subscriber gets up to a message published now: whatever is doubled would stand before it."""
    await http.publish(topic, FENCE)
    data: list[object] = []
    while not data or data[-1] != FENCE:
        data += await subscriber.data(1)
    return data[:-1]


class TestInEveryFormat:
    """Published data are texts of one line, which are the same in every format."""

    async def test_messages_of_all_topics_arrive_once_in_log_order(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with reader(transport, server, "a", "b", format=format) as subscriber:
            for number in range(40):
                await http.publish("ab"[number % 2], f"m{number}")
            assert await all_up_to_fence(subscriber, http, "b") == [f"m{number}" for number in range(40)]

    async def test_one_batch_over_several_topics_keeps_its_order(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with reader(transport, server, "b", "a", format=format) as subscriber:
            await http.send(*[publish("ab"[number % 2], f"m{number}") for number in range(50)])
            assert await subscriber.data(50) == [f"m{number}" for number in range(50)]

    async def test_other_topics_stay_out(self, server: Node, http: Http, transport: str, format: str) -> None:
        async with reader(transport, server, "a", format=format) as subscriber:
            await http.publish("b", "not mine")
            await http.publish("a.b", "not mine either")
            await http.publish("a", "mine")
            assert await subscriber.data(1) == ["mine"]

    async def test_lobby_is_the_topic_where_none_is_named(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with reader(transport, server, format=format) as subscriber:
            await http.publish("lobby", "hello")
            assert await subscriber.data(1) == ["hello"]

    async def test_without_a_cursor_it_begins_now(self, server: Node, http: Http, transport: str, format: str) -> None:
        await http.publish("a", "before")
        async with reader(transport, server, "a", format=format) as subscriber:
            await http.publish("a", "after")
            assert await subscriber.data(1) == ["after"]

    async def test_a_cursor_resumes_after_it_and_goes_on_live(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        places = await http.publish("a", *[f"m{number}" for number in range(30)])
        async with reader(transport, server, "a", format=format, cursor=places[9]) as subscriber:
            assert await subscriber.data(20) == [f"m{number}" for number in range(10, 30)]
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_nothing_is_lost_between_replay_and_live(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("a", *[f"m{number}" for number in range(100)])

        async def publish_on() -> None:
            for number in range(100, 200):
                await http.publish("a", f"m{number}")

        publishing = asyncio.create_task(publish_on())
        async with reader(transport, server, "a", format=format, cursor="earliest") as subscriber:
            assert await subscriber.data(200) == [f"m{number}" for number in range(200)]
            await publishing
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_earliest_is_the_oldest_kept_of_these_topics(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("b", "older")
        await http.publish("a", "first", "second")
        async with reader(transport, server, "a", format=format, cursor="earliest") as subscriber:
            assert await subscriber.data(2) == ["first", "second"]
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_earliest_of_an_empty_topic_is_now(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("b", "older")
        async with reader(transport, server, "a", format=format, cursor="earliest") as subscriber:
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_last_brings_so_many_of_the_topic(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("a", "m1", "m2", "m3")
        async with reader(transport, server, "a", format=format, last=2) as subscriber:
            assert await subscriber.data(2) == ["m2", "m3"]
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_last_of_more_than_there_are_brings_all(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("a", "m1", "m2")
        async with reader(transport, server, "a", format=format, last=1000) as subscriber:
            assert await subscriber.data(2) == ["m1", "m2"]

    async def test_last_of_several_topics_begins_with_the_earliest_of_these(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        await http.publish("a", "a1")
        await http.publish("b", "b1", "b2", "b3")
        async with reader(transport, server, "a", "b", format=format, last=1) as subscriber:
            assert await subscriber.data(4) == ["a1", "b1", "b2", "b3"]

    async def test_a_cursor_wins_over_last(self, server: Node, http: Http, transport: str, format: str) -> None:
        *_, place, _ = await http.publish("a", "m1", "m2", "m3")
        async with reader(transport, server, "a", format=format, last=3, cursor=place) as subscriber:
            assert await subscriber.data(1) == ["m3"]

    async def test_echo_0_hides_what_the_same_client_published(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with reader(transport, server, "a", format=format, client="me", echo="0") as subscriber:
            await http.send(publish("a", "mine"), client="me")
            await http.send(publish("a", "theirs"), client="you")
            assert await subscriber.data(1) == ["theirs"]
            assert await all_up_to_fence(subscriber, http, "a") == []

    async def test_echo_0_hides_nothing_in_an_inbox(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        inbox = "_inbox." + "x" * 22
        async with reader(transport, server, inbox, format=format, client="me", echo="0") as subscriber:
            await http.send(publish(inbox, "mine"), client="me")
            assert await subscriber.data(1) == ["mine"]

    async def test_unknown_query_parameters_are_ignored(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with reader(transport, server, "a", format=format, v=1, future="yes", n=7) as subscriber:
            await http.publish("a", "hello")
            assert await subscriber.data(1) == ["hello"]

    async def test_many_publishers_at_once_are_heard_by_many_subscribers_alike(
        self, server: Node, http: Http, transport: str, format: str
    ) -> None:
        async with (
            reader(transport, server, "a", format=format) as first,
            reader(transport, server, "a", format=format) as second,
        ):
            await asyncio.gather(*(http.publish("a", *[f"{who}.{n}" for n in range(50)]) for who in range(8)))
            heard = await first.data(400)
            assert await second.data(400) == heard
        for who in range(8):
            assert [item for item in heard if item.startswith(f"{who}.")] == [f"{who}.{n}" for n in range(50)]


class TestMessages:
    """What a message says, as it is in json."""

    async def test_the_same_on_every_transport(self, server: Node, http: Http) -> None:
        async with readers(server, "a", wires=WIRES) as subscribers:
            await http.send(publish("a", {"k": [1]}, id="m-1", event="chat-message"), client="sender")
            frames = [await subscriber.next("message") for subscriber in subscribers.values()]
        assert all(abs(frame.pop("ts") - time.time()) < 5 for frame in frames)  # rounded in json
        message, *others = frames
        assert all(other == message for other in others)
        assert message == {
            "type": "message",
            "topic": "a",
            "cursor": message["cursor"],
            "id": "m-1",
            "event": "chat-message",
            "data": {"k": [1]},
            "from": "sender",
        }

    async def test_absent_fields_are_left_out_and_data_null_is_data(self, server: Node, http: Http, wire: str) -> None:
        async with reader(wire, server, "a") as subscriber:
            await http.send(publish("a", None), client="sender")
            message = await subscriber.next("message")
        assert set(message) == {"type", "topic", "cursor", "data", "from", "ts"}
        assert message["data"] is None

    async def test_the_reply_says_where_it_stands(self, server: Node, http: Http, wire: str) -> None:
        async with reader(wire, server, "a") as subscriber:
            places = await http.publish("a", *range(5))
            assert [message["cursor"] for message in await subscriber.messages(5)] == places
        assert [offset(place) for place in places] == sorted({offset(place) for place in places})

    async def test_from_is_the_senders_client_and_never_the_commands(self, server: Node, http: Http, wire: str) -> None:
        async with reader(wire, server, "a") as subscriber, websocket(server, "a", client="socket") as socket:
            await http.send(publish("a", 1, **{"from": "forged", "client": "forged", "sub": "forged"}), client="poster")
            await socket.ask(**publish("a", 2, **{"from": "forged"}))
            messages = await subscriber.messages(2)
        assert [message["from"] for message in messages] == ["poster", "socket"]
        assert not any("sub" in message for message in messages)

    async def test_what_names_no_client_gets_one(self, server: Node, http: Http, wire: str) -> None:
        async with reader(wire, server, "a") as subscriber:
            await http.publish("a", 1)
            assert (await subscriber.next("message"))["from"]

    async def test_bytes_go_as_base64(self, server: Node, http: Http, wire: str) -> None:
        async with reader(wire, server, "a") as subscriber:
            await http.send({"action": "publish", "topic": "a", "data_b64": "AP8="})
            message = await subscriber.next("message")
        assert message["data_b64"] == "AP8="
        assert "data" not in message

    async def test_inboxes_keep_ten_messages(self, server: Node, http: Http, wire: str) -> None:
        inbox = "_inbox." + "x" * 22
        await http.publish(inbox, *range(15))
        async with reader(wire, server, inbox, cursor="earliest") as subscriber:
            assert await subscriber.data(10) == list(range(5, 15))


AWKWARD = {
    "line ends": "a\nb\r\nc\rd\u2028e\u2029f\u0085g\vh\f",
    "only a line end": "\n",
    "ends in a line end": "a\n",
    "NUL and other controls": "\0\x01\x1f\x7f",
    "beyond the basic plane": "\U0001f600 \U0010ffff",
    "no characters": ["\ufffe", "\uffff", "\ufeff"],
    "looks like a field": "data: x\nid: 7\nevent: hello\n\n: comment",
    "quotes": "\"\\/</script>'",
    "empty": ["", [], {}, None, {"": ""}],
    "numbers": [0, -0.5, 1e300, 2**53, -(2**63), 12345678901234567890, 1.0],
    "names": {"type": "gap", "cursor": "x", "\u2028": 1, "__proto__": 2},
    "64 deep": json.loads("[" * 64 + "]" * 64),
    "large": [{"n": n, "text": "\u00fc" * 50} for n in range(1000)],
}


@pytest.mark.parametrize("name", AWKWARD)
async def test_awkward_data_are_equal_on_all_transports_and_in_both_formats(
    server: Node, http: Http, name: str
) -> None:
    async with readers(server, "a", wires=WIRES) as subscribers:
        await http.publish("a", AWKWARD[name])
        for subscriber in subscribers.values():
            assert await subscriber.data(1) == [AWKWARD[name]]


async def test_a_name_of_128_characters_and_every_allowed_character_is_a_topic(
    server: Node, http: Http, wire: str
) -> None:
    topic = "A-z_0:9." + "x" * 120
    async with reader(wire, server, topic) as subscriber:
        await http.publish(topic, 1)
        assert (await subscriber.next("message"))["topic"] == topic


async def test_a_flush_interval_loses_and_reorders_nothing(wire: str) -> None:
    async with running(flush_interval=0.05) as server, Http(server) as http:
        async with reader(wire, server, "a") as subscriber:
            places = await http.publish("a", *range(300))
            messages = await subscriber.messages(300)
            assert [message["data"] for message in messages] == list(range(300))
            assert [message["cursor"] for message in messages] == places
            assert await all_up_to_fence(subscriber, http, "a") == []


class TestPolling:
    """What only a poll has: its limit, its wait, and that it changes nothing."""

    async def test_limit_is_the_most_messages_of_one_answer(self, server: Node, http: Http, framing: str) -> None:
        cursor = await http.now("a")
        await http.publish("a", *range(20))
        sizes: list[int] = []
        data: list[int] = []
        for _ in itertools.count():
            answer = await http.poll("a", format=framing, cursor=cursor, limit=7)
            if not answer["messages"]:
                break
            sizes.append(len(answer["messages"]))
            data += [message["data"] for message in answer["messages"]]
            cursor = answer["cursor"]
            assert cursor == answer["messages"][-1]["cursor"] or sizes[-1] < 7
        assert sizes == [7, 7, 6]
        assert data == list(range(20))

    async def test_an_answer_stops_at_a_mebibyte_with_at_least_one_message(
        self, server: Node, http: Http, framing: str
    ) -> None:
        cursor = await http.now("a")
        for _ in range(6):
            await http.publish("a", "x" * 250_000)
        answer = await http.poll("a", format=framing, cursor=cursor)
        assert 3 <= len(answer["messages"]) <= 5
        rest = await http.poll("a", format=framing, cursor=answer["cursor"])
        assert len(answer["messages"]) + len(rest["messages"]) == 6

    async def test_a_poll_is_a_pure_read(self, server: Node, http: Http, framing: str) -> None:
        places = await http.publish("a", *range(5))
        first = await http.poll("a", format=framing, cursor=places[1])
        assert await http.poll("a", format=framing, cursor=places[1]) == first
        assert [message["data"] for message in first["messages"]] == [2, 3, 4]

    async def test_a_poll_without_a_cursor_answers_at_once_with_hello(
        self, server: Node, http: Http, framing: str
    ) -> None:
        await http.publish("a", 1, 2)
        async with asyncio.timeout(10):
            answer = await http.poll("a", format=framing, wait=30)
        assert answer["messages"] == []
        assert answer["hello"]["cursor"] == answer["cursor"]

    async def test_with_last_it_answers_at_once_with_hello_and_messages(
        self, server: Node, http: Http, framing: str
    ) -> None:
        places = await http.publish("a", 1, 2, 3)
        async with asyncio.timeout(10):
            answer = await http.poll("a", format=framing, wait=30, last=2)
        assert [message["data"] for message in answer["messages"]] == [2, 3]
        assert (answer["hello"]["cursor"], answer["cursor"]) == (places[0], places[2])

    async def test_parked_polls_wake_together_with_the_same_answer(
        self, server: Node, http: Http, framing: str
    ) -> None:
        cursor = await http.now("a")
        polls = [asyncio.create_task(http.poll("a", format=framing, cursor=cursor, wait=30)) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert server.service.bus.parked == 5
        assert not any(poll.done() for poll in polls)
        (place,) = await http.publish("a", 7)
        async with asyncio.timeout(10):
            answers = await asyncio.gather(*polls)
        assert all(answer == answers[0] for answer in answers)
        assert [(message["data"], message["cursor"]) for message in answers[0]["messages"]] == [(7, place)]
        assert answers[0]["cursor"] == place
        assert server.service.bus.parked == 0

    async def test_a_message_of_another_topic_wakes_nobody(self, server: Node, http: Http) -> None:
        cursor = await http.now("a")
        poll = asyncio.create_task(http.poll("a", cursor=cursor, wait=30))
        await asyncio.sleep(0.1)
        await http.publish("b", 1)
        await asyncio.sleep(0.1)
        assert not poll.done()
        await http.publish("a", 2)
        assert [message["data"] for message in (await poll)["messages"]] == [2]

    async def test_a_poll_that_ran_out_answers_empty_after_its_wait(
        self, server: Node, http: Http, framing: str
    ) -> None:
        cursor = await http.now("a")
        started = asyncio.get_running_loop().time()
        answer = await http.poll("a", format=framing, cursor=cursor, wait=0.4)
        assert answer == {"cursor": cursor, "messages": []}
        assert 0.35 < asyncio.get_running_loop().time() - started < 5

    async def test_own_messages_do_not_end_a_poll_with_echo_0(self, server: Node, http: Http, framing: str) -> None:
        cursor = await http.now("a")
        poll = asyncio.create_task(http.poll("a", format=framing, cursor=cursor, wait=30, client="me", echo="0"))
        await asyncio.sleep(0.1)
        await http.send(publish("a", "mine"), client="me")
        await http.send(publish("a", "theirs"), client="you")
        assert [message["data"] for message in (await poll)["messages"]] == ["theirs"]

    async def test_parked_polls_of_clients_that_left_are_forgotten(self, server: Node, http: Http) -> None:
        cursor = await http.now("a")
        poll = asyncio.create_task(http.poll("a", cursor=cursor, wait=30))
        await asyncio.sleep(0.1)
        assert server.service.bus.parked == 1
        poll.cancel()
        async with asyncio.timeout(5):
            while server.service.bus.parked:
                await asyncio.sleep(0.02)
