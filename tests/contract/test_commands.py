"""Commands: one meaning over a WebSocket and over POST /send, in json and in protobuf."""

from __future__ import annotations

import asyncio
import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
from tests.helpers import Node, running
from tests.helpers_clients import (
    FORMATS,
    Answer,
    Frame,
    Http,
    WebSocketReader,
    event_stream,
    offset,
    publish,
    reader,
    websocket,
)

INBOX = "_inbox." + "x" * 22
STATUS = {
    "bad_request": 400,
    "unknown_action": 400,
    "conflict": 409,
    "too_large": 413,
    "too_many": 429,
    "unavailable": 503,
}


class Uplink(ABC):
    """A way to send commands, in json or protobuf. Each method returns the reply or the error."""

    framing: str

    @abstractmethod
    async def ask(self, **command: Any) -> Frame: ...

    @abstractmethod
    async def ask_text(self, text: str) -> Frame:
        """Any text in place of a command in JSON."""

    async def ask_data(self, text: str, **command: Any) -> Frame:
        """With this text in place of its data's JSON."""
        if self.framing == "protobuf":
            return await self.ask(**command, json=text)
        return await self.ask_text(f'{json.dumps(command)[:-1]},"data":{text}}}')


class OverWebSocket(Uplink):
    def __init__(self, socket: WebSocketReader) -> None:
        self.socket = socket
        self.framing = str(socket.format)

    async def ask(self, **command: Any) -> Frame:
        return await self.socket.ask(**command)

    async def ask_text(self, text: str) -> Frame:
        await self.socket.send_text(text)
        return await self.socket.next("reply", "error")


class OverSend(Uplink):
    """Each command alone, and its status must be that of its outcome."""

    def __init__(self, http: Http, framing: str) -> None:
        self.http = http
        self.framing = framing

    async def ask(self, **command: Any) -> Frame:
        return self.outcome(await self.http.post_commands(command, framing=self.framing, client="me"))

    async def ask_text(self, text: str) -> Frame:
        return self.outcome(await self.http.post_send(text, client="me"))

    def outcome(self, answer: Answer) -> Frame:
        (frame,) = answer.replies
        assert answer.status == (200 if frame["type"] == "reply" else STATUS[frame["code"]])
        assert answer.is_protobuf == (self.framing == "protobuf" and answer.status == 200), answer
        return frame


@asynccontextmanager
async def over(way: str, server: Node, http: Http) -> AsyncIterator[Uplink]:
    transport, _, format = way.partition("-")
    if transport == "send":
        yield OverSend(http, format or "json")
        return
    async with websocket(server, "unheard", client="me", format=format or "json") as socket:
        yield OverWebSocket(socket)


@pytest.fixture(params=["ws", "send", "ws-protobuf", "send-protobuf"])
async def uplink(request: pytest.FixtureRequest, server: Node, http: Http) -> AsyncIterator[Uplink]:
    async with over(request.param, server, http) as uplink:
        yield uplink


@pytest.fixture(params=["ws", "send"])
async def json_uplink(request: pytest.FixtureRequest, server: Node, http: Http) -> AsyncIterator[Uplink]:
    """For what only JSON can say."""
    async with over(request.param, server, http) as uplink:
        yield uplink


class TestPublish:
    async def test_the_reply_says_where_and_carries_no_cursor(self, uplink: Uplink, http: Http) -> None:
        before = await http.now("a")
        reply = await uplink.ask(**publish("a", {"k": 1}, ref="7"))
        assert offset(reply["at"]) > offset(before)
        assert reply == {"type": "reply", "ref": "7", "action": "publish", "at": reply["at"], "duplicate": False}

    async def test_what_was_acknowledged_is_read_at_once(self, uplink: Uplink, http: Http) -> None:
        reply = await uplink.ask(**publish("a", 1))
        answer = await http.poll("a", cursor="earliest")
        assert [(message["data"], message["cursor"]) for message in answer["messages"]] == [(1, reply["at"])]

    @pytest.mark.parametrize("action", ["publish", "PUBLISH", "Publish", "ECHO", "PING"])
    async def test_the_case_of_the_action_does_not_matter(self, json_uplink: Uplink, action: str) -> None:
        assert (await json_uplink.ask(action=action, topic="a", data=1))["action"] == action.lower()

    async def test_unknown_members_are_ignored(self, json_uplink: Uplink) -> None:
        assert (await json_uplink.ask(**publish("a", 1, future={"x": 1}, type="gap", cursor="x")))["type"] == "reply"

    async def test_without_ref_the_reply_has_none(self, uplink: Uplink) -> None:
        assert "ref" not in await uplink.ask(**publish("a", 1))

    async def test_the_same_id_takes_effect_once(self, uplink: Uplink, http: Http) -> None:
        first = await uplink.ask(**publish("a", {"x": 1, "y": 2}, id="same"))
        again = await uplink.ask(**publish("a", {"y": 2.0, "x": 1}, id="same"))
        assert (first["duplicate"], again["duplicate"]) == (False, True)
        assert first["at"] == again["at"]
        answer = await http.poll("a", cursor="earliest")
        assert [message["data"] for message in answer["messages"]] == [{"x": 1, "y": 2}]

    @pytest.mark.parametrize("more", [{"data": 2}, {"event": "other"}, {"data": None}, {"data": "1"}], ids=str)
    async def test_the_same_id_with_another_message_is_a_conflict(self, uplink: Uplink, more: Frame) -> None:
        await uplink.ask(**publish("a", 1, id="same"))
        error = await uplink.ask(**{**publish("a", 1, id="same", ref="r"), **more})
        assert (error["type"], error["code"], error["ref"]) == ("error", "conflict", "r")

    async def test_the_same_id_on_another_topic_is_another_message(self, uplink: Uplink) -> None:
        first = await uplink.ask(**publish("a", 1, id="same"))
        other = await uplink.ask(**publish("b", 2, id="same"))
        assert other["duplicate"] is False
        assert other["at"] != first["at"]

    @pytest.mark.parametrize(
        "more",
        [
            {"topic": "no/slash"},
            {"topic": ""},
            {"topic": ".a"},
            {"topic": "a."},
            {"topic": "a..b"},
            {"topic": "a,b"},
            {"topic": "a\n"},
            {"topic": "\u00e4"},
            {"topic": "x" * 129},
            {"topic": "_inbox.short"},
            {"id": ""},
            {"id": "x" * 65},
            {"id": "a b"},
        ],
        ids=str,
    )
    async def test_what_is_malformed_is_a_bad_request(self, uplink: Uplink, more: Frame) -> None:
        error = await uplink.ask(**{**publish("a", 1, ref="r"), **more})
        assert (error["type"], error["code"], error["ref"]) == ("error", "bad_request", "r")
        assert error["message"]

    @pytest.mark.parametrize(
        "more",
        [{"topic": 7}, {"id": 7}, {"event": 7}, {"event": "\ud800"}, {"data_b64": "?"}, {"data_b64": 7}],
        ids=str,
    )
    async def test_what_has_the_wrong_type_is_a_bad_request(self, json_uplink: Uplink, more: Frame) -> None:
        error = await json_uplink.ask(**{**publish("a", 1, ref="r"), **more})
        assert (error["type"], error["code"], error["ref"]) == ("error", "bad_request", "r")
        assert error["message"]

    async def test_without_data_it_is_a_bad_request(self, uplink: Uplink) -> None:
        assert (await uplink.ask(action="publish", topic="a"))["code"] == "bad_request"

    async def test_data_over_the_limit_are_too_large(self, uplink: Uplink, server: Node) -> None:
        most = server.service.settings.max_message
        assert (await uplink.ask(**publish("a", "x" * (most - 2))))["type"] == "reply"
        assert (await uplink.ask(**publish("a", "x" * (most - 1))))["code"] == "too_large"

    async def test_the_limit_is_of_the_data_however_they_are_spelt(self, uplink: Uplink, server: Node) -> None:
        """JSON may write any character as \\u and four digits: three times what it takes in UTF-8."""
        text = "\u00e9" * (server.service.settings.max_message // 2 - 1)
        for escaped in (False, True):
            reply = await uplink.ask_data(json.dumps(text, ensure_ascii=escaped), action="publish", topic="a")
            assert reply["type"] == "reply"


UNFIT = {
    "lone surrogate": '"\\ud800"',
    "lone surrogate in a name": '{"\\udfff":1}',
    "surrogates in the wrong order": '"\\ude00\\ud83d"',
    "NaN": "NaN",
    "Infinity": "[-Infinity]",
    "1e999": "1e999",
    "-1e999": '{"x":-1e999}',
    "65 deep": "[" * 65 + "]" * 65,
    "65 deep in objects": '{"x":' * 65 + "1" + "}" * 65,
    "100000 deep": "[" * 100_000 + "]" * 100_000,
    "duplicate members": '{"x":1,"x":2}',
    "duplicate members deep inside": '[{"y":{"x":1,"\\u0078":1}}]',
    "a number of 5000 digits": "1" * 5000,
    "a raw control character": '"\t"',
    "a trailing comma": "[1,]",
    "single quotes": "'x'",
    "a comment": "1 /* one */",
    "a leading zero": "01",
    "hexadecimal": "0x1",
}
FIT = {
    "64 deep": "[" * 64 + "]" * 64,
    "64 deep in objects": '{"x":' * 63 + "{}" + "}" * 63,
    "brackets in a text": json.dumps("[" * 1000),
    "emoji as a pair of surrogates": '"\\ud83d\\ude00"',
    "escaped NUL": '"\\u0000"',
    "a float": "1e-7",
    "the same name on two levels": '{"x":{"x":1}}',
    "white space": " \r\n\t[ 1 , 2 ] ",
}


class TestJson:
    """I-JSON (RFC 7493): what it refuses is refused the same on every uplink, and the connection stays."""

    @pytest.mark.parametrize("action", ["publish", "echo"])
    @pytest.mark.parametrize("name", UNFIT)
    async def test_unfit_data_are_refused(self, uplink: Uplink, name: str, action: str) -> None:
        topic = {"topic": "a"} if action == "publish" else {}
        error = await uplink.ask_data(UNFIT[name], action=action, **topic)
        assert (error["type"], error["code"]) == ("error", "bad_request")
        assert (await uplink.ask(action="echo", data="alive"))["data"] == "alive"

    @pytest.mark.parametrize("name", FIT)
    async def test_fit_data_are_taken_and_arrive(self, uplink: Uplink, http: Http, name: str) -> None:
        reply = await uplink.ask_data(FIT[name], action="publish", topic="a")
        assert reply["type"] == "reply"
        (message,) = (await http.poll("a", cursor="earliest"))["messages"]
        assert message["data"] == json.loads(FIT[name])

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "7",
            "null",
            '"publish"',
            "{}",
            '{"action":7}',
            '{"action":null}',
            '{"data":1}',
            "\ufeff{}",
            '{"action":"echo","data":1,"other":NaN}',
            '{"action":"echo","data":1,"action":"echo"}',
        ],
    )
    async def test_what_is_no_command_is_a_bad_request(self, json_uplink: Uplink, text: str) -> None:
        error = await json_uplink.ask_text(text)
        assert (error["type"], error["code"]) == ("error", "bad_request")
        assert "ref" not in error

    async def test_a_bad_ref_is_not_echoed(self, json_uplink: Uplink) -> None:
        for ref in (7, None, ["x"], "\ud800", "x" * 10_000):
            assert "ref" not in await json_uplink.ask(action="echo", data=1, ref=ref)


class TestEchoAndPing:
    @pytest.mark.parametrize("data", [[1], None, "", 0, False, {"x": "\u2028\0\U0001f600"}], ids=str)
    async def test_echo_brings_the_data_back(self, uplink: Uplink, data: object) -> None:
        reply = await uplink.ask(action="echo", data=data, ref="e")
        assert reply == {"type": "reply", "ref": "e", "action": "echo", "data": data}

    async def test_echo_without_data(self, uplink: Uplink) -> None:
        assert await uplink.ask(action="echo") == {"type": "reply", "action": "echo"}

    async def test_echo_of_bytes(self, uplink: Uplink) -> None:
        assert (await uplink.ask(action="echo", data_b64="AP8="))["data_b64"] == "AP8="

    async def test_echo_over_the_limit_is_too_large(self, uplink: Uplink, server: Node) -> None:
        data = "x" * server.service.settings.max_message
        assert (await uplink.ask(action="echo", data=data))["code"] == "too_large"

    async def test_ping_without_delay(self, uplink: Uplink) -> None:
        assert await uplink.ask(action="ping", ref="p") == {"type": "reply", "ref": "p", "action": "ping"}

    @pytest.mark.parametrize("delay", [-1, 31, math.inf, math.nan], ids=str)
    async def test_a_bad_delay_is_a_bad_request(self, uplink: Uplink, delay: float) -> None:
        assert (await uplink.ask(action="ping", delay=delay))["code"] == "bad_request"

    @pytest.mark.parametrize("delay", ["1", None, True, [1]], ids=str)
    async def test_a_delay_that_is_no_number_is_a_bad_request(self, json_uplink: Uplink, delay: object) -> None:
        assert (await json_uplink.ask(action="ping", delay=delay))["code"] == "bad_request"

    async def test_an_endless_delay_is_a_bad_request(self, json_uplink: Uplink) -> None:
        assert (await json_uplink.ask_text('{"action":"ping","delay":1e999}'))["code"] == "bad_request"

    async def test_echo_through_the_bus_reaches_the_inbox(self, uplink: Uplink, server: Node, transport: str) -> None:
        async with reader(transport, server, INBOX) as subscriber:
            reply = await uplink.ask(action="echo", data="via", reply_to=INBOX, ref="e")
            message = await subscriber.next("message")
        assert (message["data"], message["event"], message["from"]) == ("via", "echo", "me")
        assert reply == {"type": "reply", "ref": "e", "action": "echo", "at": message["cursor"]}

    @pytest.mark.parametrize("reply_to", ["lobby", "_inbox.short", ""])
    async def test_echo_through_the_bus_goes_to_inboxes_only(self, uplink: Uplink, reply_to: str) -> None:
        assert (await uplink.ask(action="echo", data=1, reply_to=reply_to))["code"] == "bad_request"

    async def test_echo_through_the_bus_goes_to_no_number(self, json_uplink: Uplink) -> None:
        assert (await json_uplink.ask(action="echo", data=1, reply_to=7))["code"] == "bad_request"


class TestOtherActions:
    async def test_an_unknown_action_is_told_with_its_ref(self, uplink: Uplink) -> None:
        error = await uplink.ask(action="fly", ref="u")
        assert (error["type"], error["code"], error["ref"]) == ("error", "unknown_action", "u")

    @pytest.mark.parametrize("action", ["", "publish ", "\u0130", "\ud800", "x" * 10_000])
    async def test_whatever_its_name(self, json_uplink: Uplink, action: str) -> None:
        error = await json_uplink.ask(action=action, ref="u")
        assert (error["type"], error["code"], error["ref"]) == ("error", "unknown_action", "u")
        assert len(error["message"]) < 500

    async def test_the_short_form_of_a_browser_chat(self, json_uplink: Uplink, http: Http) -> None:
        reply = await json_uplink.ask(event="chat-message", payload={"userName": "u", "message": "m"}, topic="chat")
        assert (reply["type"], reply["action"]) == ("reply", "publish")
        (message,) = (await http.poll("chat", cursor="earliest"))["messages"]
        assert (message["event"], message["data"]) == ("chat-message", {"userName": "u", "message": "m"})

    async def test_refresh_is_taken(self, uplink: Uplink) -> None:
        assert (await uplink.ask(action="refresh", token="t", ref="r"))["action"] == "refresh"
        assert (await uplink.ask(action="refresh"))["code"] == "bad_request"


class TestOverWebSocket:
    """What only a two-way connection has."""

    async def test_short_forms_publish_to_the_first_topic(self, server: Node, http: Http) -> None:
        async with websocket(server, "first", "second") as socket:
            await socket.ask(event="chat-message", payload=1)
            answer = await http.poll("first", "second", cursor="earliest")
        assert [(message["topic"], message["data"]) for message in answer["messages"]] == [("first", 1)]

    async def test_a_publish_without_a_topic_goes_to_the_first(self, server: Node, http: Http, framing: str) -> None:
        async with websocket(server, "first", "second", format=framing) as socket:
            await socket.ask(action="publish", data=1)
        (message,) = (await http.poll("first", "second", cursor="earliest"))["messages"]
        assert (message["topic"], message["data"]) == ("first", 1)

    async def test_ping_is_answered_after_its_delay(self, server: Node, framing: str) -> None:
        clock = asyncio.get_running_loop()
        async with websocket(server, "a", format=framing) as socket:
            started = clock.time()
            assert (await socket.ask(action="ping", ref="p", delay=0.4))["ref"] == "p"
            assert 0.39 < clock.time() - started < 4

    async def test_eight_pings_wait_and_hold_up_nobody(self, server: Node) -> None:
        async with websocket(server, "a") as socket:
            for number in range(9):
                await socket.send(action="ping", delay=0.5, ref=f"p{number}")
            await socket.send(action="echo", data=3, ref="e")
            answers = [await socket.next("reply", "error") for _ in range(10)]
            assert (answers[0]["ref"], answers[0]["code"]) == ("p8", "too_many")
            assert "retry_after" in answers[0]
            assert answers[1]["ref"] == "e"
            assert [answer["ref"] for answer in answers[2:]] == [f"p{number}" for number in range(8)]
            assert (await socket.ask(action="ping", delay=0.01, ref="again"))["ref"] == "again"

    async def test_publishes_of_one_connection_keep_their_order(self, server: Node, framing: str) -> None:
        async with websocket(server, "a", format=framing) as socket:
            for number in range(200):
                await socket.send(**publish("a", number, ref=str(number)))
            frames = [await socket.next("message", "reply") for _ in range(400)]
        assert [frame["data"] for frame in frames if frame["type"] == "message"] == list(range(200))
        assert [frame["ref"] for frame in frames if frame["type"] == "reply"] == [str(n) for n in range(200)]

    async def test_one_may_send_commands_and_never_read_the_replies(self, server: Node, http: Http) -> None:
        async with websocket(server, "a") as socket:
            await socket.connection.send(["{", json.dumps(publish("b", 1))[1:]])
            await socket.ask(action="echo")
        assert len((await http.poll("b", cursor="earliest"))["messages"]) == 1

    async def test_a_frame_of_the_other_kind_is_refused_and_the_connection_stays(
        self, server: Node, framing: str
    ) -> None:
        async with websocket(server, "a", format=framing) as socket:
            await socket.connection.send(b"\xff\xfe" if framing == "json" else '{"action":"ping"}')
            assert (await socket.next("error"))["code"] == "bad_request"
            assert (await socket.ask(action="echo", data=1))["data"] == 1

    async def test_a_frame_over_the_limit_closes_with_1009(self, framing: str) -> None:
        async with (
            running(max_message=1000, max_body=10_000) as server,
            websocket(server, "a", format=framing) as socket,
        ):
            await socket.connection.send(b"x" * 1_000_000 if framing == "protobuf" else "x" * 1_000_000)
            assert await socket.close_code() == 1009

    @pytest.mark.parametrize(
        ("topics", "framing"),
        [*product(([], ["no/slash"], [""]), FORMATS), *product(("a", None, [7]), ["json"])],
        ids=str,
    )
    @pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
    async def test_bad_topics_are_a_bad_request(self, server: Node, action: str, topics: object, framing: str) -> None:
        async with websocket(server, "a", format=framing) as socket:
            assert (await socket.ask(action=action, topics=topics, ref="s"))["code"] == "bad_request"
            await socket.send(**publish("a", "still here"))
            assert await socket.data(1) == ["still here"]

    async def test_topics_over_the_limit_are_refused(self, framing: str) -> None:
        async with running(max_topics=3) as server, websocket(server, "a", "b", format=framing) as socket:
            assert (await socket.ask(action="subscribe", topics=["c"]))["type"] == "reply"
            assert (await socket.ask(action="subscribe", topics=["a", "c"]))["type"] == "reply"
            assert (await socket.ask(action="subscribe", topics=["d"]))["code"] == "bad_request"


class TestOverSend:
    """POST /send: one object or an array, and its HTTP side."""

    async def test_an_array_is_carried_out_in_order_and_each_answered(
        self, server: Node, http: Http, framing: str
    ) -> None:
        commands = [publish("a", number, ref=f"r{number}") for number in range(40)]
        commands.insert(20, {"action": "fly", "ref": "bad"})
        replies = await http.send(*commands, framing=framing)
        assert [reply["ref"] for reply in replies] == [command["ref"] for command in commands]
        assert [reply["type"] for reply in replies] == ["reply"] * 20 + ["error"] + ["reply"] * 20
        answer = await http.poll("a", cursor="earliest")
        assert [message["data"] for message in answer["messages"]] == list(range(40))

    async def test_an_array_of_one_is_answered_with_an_array(self, http: Http) -> None:
        answer = await http.post_send(json.dumps([publish("a", 1)]))
        assert [reply["type"] for reply in answer.json] == ["reply"]

    async def test_an_array_takes_a_hundred_and_no_more(self, http: Http, framing: str) -> None:
        assert len(await http.send(*[publish("a", 1)] * 100, framing=framing)) == 100
        answer = await http.post_commands(*[publish("b", 1)] * 101, framing=framing)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert (await http.poll("b", cursor="earliest"))["messages"] == []

    async def test_an_empty_array_is_a_bad_request(self, http: Http, framing: str) -> None:
        answer = await http.post_commands(framing=framing)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")

    async def test_errors_in_an_array_leave_the_status_200(self, http: Http) -> None:
        replies = await http.send({"action": "fly"}, publish("a", float(1)), {"action": "ping"}, {"x": 1})
        assert [reply.get("code") for reply in replies] == ["unknown_action", None, None, "bad_request"]
        replies = await http.send({"action": "fly"}, publish("a", float(1)), {"action": "refresh"}, framing="protobuf")
        assert [reply.get("code") for reply in replies] == ["unknown_action", None, "bad_request"]

    async def test_after_an_unavailable_the_rest_are_not_attempted(
        self, server: Node, http: Http, framing: str
    ) -> None:
        await server.service.bus.stop_publishing()
        commands = [{"action": "echo", "ref": "0"}, publish("a", 1, ref="1"), {"action": "echo", "ref": "2"}]
        replies = await http.send(*commands, publish("a", 2, ref="3"), framing=framing)
        assert [reply.get("code") for reply in replies] == [None, "unavailable", "unavailable", "unavailable"]
        assert [reply["ref"] for reply in replies] == ["0", "1", "2", "3"]
        assert all(reply["retry_after"] > 0 for reply in replies[1:])
        assert "not attempted" in replies[2]["message"]

    async def test_unavailable_has_a_retry_after_header(self, server: Node, http: Http, framing: str) -> None:
        await server.service.bus.stop_publishing()
        answer = await http.post_commands(publish("a", 1), framing=framing)
        assert (answer.status, answer.json["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", "nonsense"])
    async def test_any_content_type_is_read_as_json(self, http: Http, kind: str) -> None:
        answer = await http.post_send(json.dumps(publish("a", 1)), headers={"Content-Type": kind})
        assert (answer.status, answer.json["type"]) == (200, "reply")

    async def test_bytes_that_are_no_text_are_a_bad_request(self, http: Http) -> None:
        answer = await http.post_send(b'{"action":"echo","data":"\xff"}')
        assert (answer.status, answer.json["code"]) == (400, "bad_request")

    async def test_a_body_over_the_limit_is_too_large(self, framing: str) -> None:
        async with running(max_message=1000, max_body=2000) as server, Http(server) as http:
            answer = await http.post_commands(publish("a", "x" * 2000), framing=framing)
            assert (answer.status, answer.json["code"]) == (413, "too_large")

    async def test_publishes_name_their_client_in_the_query(self, server: Node, http: Http, framing: str) -> None:
        async with event_stream(server, "a") as stream:
            await http.send(publish("a", 1), framing=framing, client="me")
            assert (await stream.next("message"))["from"] == "me"

    async def test_the_short_form_goes_to_the_topic_of_the_query_or_the_lobby(self, http: Http) -> None:
        await http.send({"event": "e", "payload": 1}, topics="here,there")
        await http.send({"event": "e", "payload": 2})
        answer = await http.poll("here", "there", "lobby", cursor="earliest")
        assert [message["topic"] for message in answer["messages"]] == ["here", "lobby"]

    @pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
    async def test_topics_are_changed_by_connecting_again(self, http: Http, action: str, framing: str) -> None:
        answer = await http.post_commands({"action": action, "topics": ["a"]}, framing=framing)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")

    async def test_a_delayed_ping_needs_a_websocket(self, http: Http, framing: str) -> None:
        answer = await http.post_commands({"action": "ping", "delay": 1}, framing=framing)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")

    @pytest.mark.parametrize(
        "query", [{"client": "a b"}, {"client": "x" * 65}, {"topics": "no/slash"}, {"v": 2}], ids=str
    )
    async def test_a_bad_query_is_a_bad_request(self, http: Http, query: Frame) -> None:
        answer = await http.post_send(json.dumps(publish("a", 1)), **query)
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
