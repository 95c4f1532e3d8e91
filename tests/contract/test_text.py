"""The text format, for people with `wscat` and for line-based scripts."""

from __future__ import annotations

import json

import pytest
from tests.contract.conftest import HEARTBEAT
from tests.helpers import Node, running
from tests.helpers_clients import Http, event_stream, publish, reader, websocket


class TestOverWebSocket:
    async def test_it_begins_with_a_greeting_for_people(self, server: Node) -> None:
        async with websocket(server, "chat", format="text", client="me") as socket:
            greeting = socket.hello["data"]
        assert greeting
        assert "\n" not in greeting
        assert not greeting.startswith("{")
        assert "me" in greeting
        assert "chat" in greeting

    @pytest.mark.parametrize(
        ("command", "answer"),
        [
            ({"action": "ECHO", "data": "hi"}, "Server heard: hi"),
            ({"action": "echo", "data": {"k": [1]}}, 'Server heard: {"k":[1]}'),
            ({"action": "echo", "data": None}, "Server heard: null"),
            ({"action": "ECHO"}, "Server heard: "),
            ({"action": "PING"}, "PONG"),
            ({"action": "ping", "delay": 0.1}, "PONG"),
        ],
        ids=str,
    )
    async def test_commands_and_their_answers(self, server: Node, command: object, answer: str) -> None:
        async with websocket(server, "chat", format="text") as socket:
            await socket.send_text(json.dumps(command))
            assert await socket.data(1) == [answer]

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ({"action": "fly"}, "unknown_action"),
            ({"action": 7}, "bad_request"),
            ({"action": "ping", "delay": 99}, "bad_request"),
            ({"event": 7, "payload": 1}, "bad_request"),
            ({"action": "publish", "topic": "no/slash", "data": 1}, "bad_request"),
        ],
        ids=str,
    )
    async def test_errors_are_lines_too(self, server: Node, command: object, code: str) -> None:
        async with websocket(server, "chat", format="text") as socket:
            await socket.send_text(json.dumps(command))
            (line,) = await socket.data(1)
            assert line.startswith(f"error: {code}: ")
            await socket.send_text('{"action":"PING"}')
            assert await socket.data(1) == ["PONG"]

    @pytest.mark.parametrize(
        "line",
        [
            "plain words",
            "",
            " ",
            "7",
            '"x"',
            "null",
            "[1]",
            "{",
            '{"k":1}',
            "{not json",
            '{"a":NaN}',
            "a\nb\r\n",
            "\u2028\0\U0001f600",
        ],
        ids=repr,
    )
    async def test_what_is_no_command_is_published_as_it_is_to_the_first_topic(
        self, server: Node, http: Http, line: str
    ) -> None:
        async with (
            websocket(server, "first", "second", format="text") as speaker,
            websocket(server, "first", format="text") as hearer,
        ):
            await speaker.send_text(line)
            assert await hearer.data(1) == await speaker.data(1) == [line]
        (message,) = (await http.poll("first", "second", cursor="earliest"))["messages"]
        assert (message["topic"], message["data"]) == ("first", line)

    async def test_the_short_form_publishes_its_payload(self, server: Node) -> None:
        async with websocket(server, "chat", format="text") as speaker, websocket(server, "chat") as hearer:
            await speaker.send_text(json.dumps({"event": "chat-message", "payload": {"userName": "u", "message": "m"}}))
            message = await hearer.next("message")
            assert (message["event"], message["data"]) == ("chat-message", {"userName": "u", "message": "m"})
            assert await speaker.data(1) == ['{"userName":"u","message":"m"}']

    async def test_silence_brings_no_line(self, server: Node) -> None:
        async with websocket(server, "chat", format="text") as socket:
            with pytest.raises(TimeoutError):
                await socket.next(timeout=2.5 * HEARTBEAT)

    async def test_a_refusal_is_told_and_closed(self, server: Node) -> None:
        async with websocket(server, format="text", topics="no/slash") as socket:
            assert "bad_request" in socket.hello["data"]
            assert await socket.close_code() == 4400


class TestData:
    """How data of other formats look here, on every transport."""

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            ("words", "words"),
            ('{"k":1}', '{"k":1}'),
            ({"k": [1, None]}, '{"k":[1,null]}'),
            (None, "null"),
            (7, "7"),
            (1.5, "1.5"),
            ([], "[]"),
            ("", ""),
            ('"quoted" \\ \u00e9\U0001f600', '"quoted" \\ \u00e9\U0001f600'),
            ({"text": "a\nb"}, '{"text":"a\\nb"}'),
        ],
        ids=repr,
    )
    async def test_texts_as_they_are_and_the_rest_as_json(
        self, server: Node, http: Http, transport: str, data: object, line: str
    ) -> None:
        async with reader(transport, server, "a", format="text") as subscriber:
            await http.publish("a", data)
            assert await subscriber.data(1) == [line]

    async def test_bytes_as_base64(self, server: Node, http: Http, transport: str) -> None:
        async with reader(transport, server, "a", format="text") as subscriber:
            await http.send({"action": "publish", "topic": "a", "data_b64": "AP8="})
            assert await subscriber.data(1) == ["AP8="]

    async def test_gaps_are_not_shown(self, transport: str) -> None:
        async with running(retention_count=2) as server, Http(server) as http:
            start = await http.now("a")
            await http.publish("a", "m1", "m2", "m3", "m4")
            async with reader(transport, server, "a", format="text", cursor=start) as subscriber:
                assert await subscriber.data(2) == ["m3", "m4"]


class TestOverPolls:
    async def test_one_line_per_message_and_the_cursor_in_a_header(self, server: Node, http: Http) -> None:
        places = await http.publish("a", "m1", {"k": 1}, "m3")
        answer = await http.get("/poll?topics=a&format=text&cursor=earliest&wait=0")
        assert answer.text == 'm1\n{"k":1}\nm3\n'
        assert answer.headers["Tricast-Cursor"] == places[2]
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("text", ["a\nb", "a\n", "\n", "\r", "a\r", "a\r\nb", "\n\n"], ids=repr)
    async def test_a_text_with_line_breaks_is_one_line_of_json(self, server: Node, http: Http, text: str) -> None:
        await http.publish("a", "before", text, "after")
        answer = await http.get("/poll?topics=a&format=text&cursor=earliest&wait=0")
        lines = answer.text.removesuffix("\n").split("\n")
        assert [lines[0], *map(json.loads, lines[1:-1]), lines[-1]] == ["before", text, "after"]

    async def test_without_a_cursor_it_answers_at_once_with_one(self, server: Node, http: Http) -> None:
        (place,) = await http.publish("a", "before")
        answer = await http.get("/poll?topics=a&format=text&wait=30")
        assert (answer.text, answer.headers["Tricast-Cursor"]) == ("", place)

    async def test_json_has_the_header_too(self, http: Http) -> None:
        answer = await http.get("/poll")
        assert answer.headers["Tricast-Cursor"] == answer.json["cursor"]


class TestOverEventStreams:
    async def test_the_greeting_is_the_hello_event(self, server: Node) -> None:
        async with event_stream(server, "chat", format="text", client="me") as stream:
            assert "me" in stream.hello["data"]
            assert stream.raw.startswith(b"event: hello\nretry: ")

    async def test_a_message_of_several_lines_is_one_event(self, server: Node, http: Http) -> None:
        async with event_stream(server, "a", format="text") as stream:
            await http.publish("a", "a\nb\n", "after")
            assert await stream.data(2) == ["a\nb\n", "after"]

    async def test_silence_dispatches_nothing_but_moves_the_id(self, server: Node, http: Http) -> None:
        async with event_stream(server, "a", format="text") as stream:
            (place,) = await http.publish("elsewhere", 1)
            event = await stream.next_event()
        assert (event.id, event.data) == (place, None)

    async def test_ids_resume(self, server: Node, http: Http) -> None:
        async with event_stream(server, "a", format="text") as stream:
            await http.publish("a", "m1", "m2")
            await stream.data(1)
            last_id = stream.last_id or ""
        async with event_stream(server, "a", format="text", headers={"Last-Event-ID": last_id}) as stream:
            assert await stream.data(1) == ["m2"]


async def test_text_and_json_share_one_bus(server: Node, http: Http) -> None:
    async with websocket(server, "a", format="text") as plain, websocket(server, "a") as full:
        await plain.send_text("from text")
        await full.ask(**publish("a", "from json"))
        assert await plain.data(2) == await full.data(2) == ["from text", "from json"]
