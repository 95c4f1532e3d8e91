"""Who may ask: by token, the same on every transport, from the connect to the end of its time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from tests.helpers import Node, eventually, running
from tests.helpers_clients import TRANSPORTS, Ended, Http, WebSocketReader, event_stream, publish, reader, websocket
from tests.helpers_tokens import ALGORITHMS, SECRET, claims_of, issuing, pair, token
from websockets.asyncio.client import connect as connect_websocket
from websockets.typing import Subprotocol

from tricast_server import Access, Grant, Service, Settings
from tricast_server.bus import audience
from tricast_server.guard import keys

INBOX = "_inbox.0123456789abcdefghijkl"
WAYS = (*TRANSPORTS, "send", "topics", "stats")
LIFE = 1.2
"""Seconds of a token that is to end within a test."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Node]:
    """Takes tokens by the secret, and by a key of each kind."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [pair(name, name).jwk for name in ALGORITHMS]}))
    values: dict[str, Any] = {
        "token_secret": SECRET,
        "token_keys": str(keys),
        "token_audience": "bus",
        "token_issuer": "us",
    }
    async with running(heartbeat=5.0, token_leeway=0.0, **values) as node:
        yield node


@pytest.fixture
async def plain() -> AsyncIterator[Node]:
    async with running(heartbeat=5.0, token_leeway=0.0, token_secret=SECRET) as node:
        yield node


async def seen_by(server: Node, way: str, given: str | None, topic: str = "a") -> tuple[int, str | None]:
    """The HTTP status, or what it would be, and the error's code for who comes this way with this token."""
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    if way == "ws":
        async with reader("ws", server, topic, headers=headers) as socket:
            assert isinstance(socket, WebSocketReader)
            if socket.hello["type"] == "hello":
                return 200, None
            code = await socket.close_code()
            assert code is not None
            return code - 4000, socket.hello["code"]
    async with Http(server) as http:
        if way == "sse":
            async with http.session.get(f"/sse?topics={topic}", headers=headers) as response:
                return response.status, None if response.status == 200 else (await response.json())["code"]
        if way == "send":
            answer = await http.post_send(json.dumps(publish(topic, 1)), headers=headers)
        elif way == "topics":
            answer = await http.request("POST", f"/topics/{topic}", body="1", headers=headers)
        elif way == "stats":
            answer = await http.get("/stats", headers={**headers, "X-Forwarded-For": "192.0.2.1"})
        else:
            answer = await http.get(f"/poll?topics={topic}", headers=headers)
        return answer.status, None if answer.status == 200 else answer.json["code"]


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def good(**more: Any) -> dict[str, Any]:
    return claims_of({"aud": "bus", "iss": "us", **more})


def by_secret(**more: Any) -> str:
    return jwt.encode(good(**more), SECRET, algorithm="HS256")


def unsigned(algorithm: str) -> str:
    return f"{segment({'alg': algorithm, 'typ': 'JWT'})}.{segment(good())}."


def confused() -> str:
    """Signed with the text of a public key, which everybody has, as if it were a shared secret."""
    text = f"{segment({'alg': 'HS256', 'kid': 'RS256'})}.{segment(good())}"
    mac = hmac.new(pair("RS256", "RS256").public_pem.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def headed(**header: Any) -> str:
    return jwt.encode(good(), SECRET, algorithm="HS256", headers=header)


BAD = {
    "none": lambda: None,
    "garbage": lambda: "garbage",
    "an empty signature": lambda: by_secret().rpartition(".")[0] + ".",
    "expired": lambda: by_secret(life=-1),
    "not yet": lambda: by_secret(nbf=time.time() + 60),
    "never expires": lambda: by_secret(exp=None),
    "expires at no time": lambda: by_secret(exp="tomorrow"),
    "expires at infinity": lambda: by_secret(exp=float("inf")),
    "expires at true": lambda: by_secret(exp=True),
    "another secret": lambda: jwt.encode(good(), SECRET + "!", algorithm="HS256"),
    "another key": lambda: pair("ES256", "other").token(aud="bus", iss="us"),
    "another key by a known name": lambda: jwt.encode(
        good(), pair("ES256", "other").private, algorithm="ES256", headers={"kid": "ES256"}
    ),
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("nOnE"),
    "another alg by the same secret": lambda: jwt.encode(good(), SECRET * 2, algorithm="HS512"),
    "another alg by the same key": lambda: jwt.encode(
        good(), pair("RS256", "RS256").private, algorithm="PS256", headers={"kid": "RS256"}
    ),
    "a public key as secret": confused,
    "a critical header": lambda: headed(crit=["b64"], b64=True),
    "another audience": lambda: by_secret(aud="bank"),
    "no audience": lambda: by_secret(aud=None),
    "another issuer": lambda: by_secret(iss="them"),
    "sub is no text": lambda: by_secret(sub=1),
    "sub is too long": lambda: by_secret(sub="x" * 257),
    "sub is not Unicode": lambda: by_secret(sub="\ud800"),
    "patterns as a text": lambda: by_secret(subscribe="**", publish="**"),
    "a pattern that is none": lambda: by_secret(subscribe=["a*"], publish=["a*"]),
    "a deep header": lambda: f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.e30",
    "not ASCII": lambda: "é.é.é",
}


@pytest.mark.parametrize("name", BAD)
async def test_refused_the_same_way_everywhere(server: Node, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN", 0.1)
    given = BAD[name]()  # type: ignore[no-untyped-call]
    for way in WAYS:
        assert (way, *await seen_by(server, way, given)) == (way, 401, "unauthorized")


@pytest.mark.parametrize("algorithm", ["HS256", *ALGORITHMS])
async def test_welcome_everywhere(server: Node, algorithm: str) -> None:
    given = by_secret() if algorithm == "HS256" else pair(algorithm, algorithm).token(aud=["bus", "more"], iss="us")
    for way in WAYS:
        assert (way, *await seen_by(server, way, given)) == (way, 200, None)


async def test_the_way_to_do_better_is_in_the_answer(plain: Node) -> None:
    """RFC 6750, 3.1: nothing about the token where there was none."""
    narrow, expired = token(publish=["b"], subscribe=["b"]), token(life=-1)
    async with Http(plain) as http:
        for query, status, challenge in (
            ("", 401, "Bearer"),
            (f"&token={expired}", 401, 'Bearer error="invalid_token"'),
            (f"&token={narrow}", 403, 'Bearer error="insufficient_scope"'),
        ):
            for answer in (
                await http.get(f"/poll?topics=a{query}"),
                await http.get(f"/sse?topics=a{query}"),
                await http.request("POST", f"/send?x{query}", body=json.dumps(publish("a", 1))),
                await http.request("POST", f"/topics/a?x{query}", body="1"),
            ):
                assert (answer.status, answer.headers.get("WWW-Authenticate")) == (status, challenge)
                assert narrow not in answer.text
                assert expired not in answer.text
        several = await http.post_send(json.dumps([publish("a", 1), publish("b", 1)]), token=narrow)
        assert (several.status, "WWW-Authenticate" in several.headers) == (200, False)
        assert [answer["type"] for answer in several.json] == ["error", "reply"]
        foreign = await http.get("/poll", headers={"Origin": "https://x.example"})
        assert (foreign.status, foreign.headers.get("WWW-Authenticate")) == (403, None)


async def test_nothing_is_read_of_who_may_not_come(plain: Node) -> None:
    """Not even an echo of one's own words is answered, nor a command that is none."""
    async with Http(plain) as http:
        for body in ('{"action":"echo","data":1}', '{"action":"ping"}', "nonsense"):
            assert (await http.post_send(body)).status == 401
        ping = '{"action":"ping"}'
        assert (await http.post_send(ping, token=token(publish=None, subscribe=None))).status == 200


@pytest.mark.parametrize("way", ["header", "query", "subprotocol"])
async def test_where_a_websocket_may_bring_it(plain: Node, way: str) -> None:
    given = token()
    query = f"?token={given}" if way == "query" else ""
    headers = {"Authorization": f"bearer {given}"} if way == "header" else {}
    protocols = [Subprotocol("tricast.v1.json")]
    if way == "subprotocol":
        protocols.append(Subprotocol(f"tricast.token.{given}"))
    url = f"ws://{plain.authority}/ws{query}"
    async with connect_websocket(
        url,
        subprotocols=protocols,
        additional_headers=headers,
        proxy=None,
    ) as socket:
        assert socket.subprotocol == "tricast.v1.json"
        assert json.loads(await socket.recv())["type"] == "hello"


async def test_a_token_is_no_format(plain: Node) -> None:
    """A browser would fail a connection for which none of its protocols was chosen."""
    async with Http(plain) as http:
        for protocols in (f"tricast.token.{token()}", token()):
            headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": protocols}
            answer = await http.get("/ws", headers=headers)
            assert (answer.status, answer.json["code"]) == (400, "bad_request")
            assert protocols not in answer.text


class TestRights:
    async def test_each_is_for_its_own(self, plain: Node) -> None:
        given = token(subscribe=["news.*"], publish=["chat.**"])
        for way in WAYS:
            publishes = way in ("send", "topics")
            for topic, allowed in (("news.a", not publishes), ("chat.a.b", publishes), ("chat", False)):
                seen = await seen_by(plain, way, given, topic)
                assert (way, topic, *seen) == (
                    (way, topic, 200, None) if allowed or way == "stats" else (way, topic, 403, "forbidden")
                )

    async def test_a_claim_that_is_missing_allows_nothing(self, plain: Node) -> None:
        given = token(subscribe=None, publish=None)
        for way in WAYS[:-1]:
            assert await seen_by(plain, way, given) == (403, "forbidden")

    async def test_every_topic_of_several_has_to_be_allowed(self, plain: Node) -> None:
        async with Http(plain) as http:
            assert (await http.get(f"/poll?topics=a,b&token={token(subscribe=['a'])}")).status == 403
            assert (await http.get(f"/poll?topics=a,b&token={token(subscribe=['a', 'b'])}")).status == 200

    async def test_an_inbox_is_for_who_knows_its_name_and_may_come_at_all(self, plain: Node) -> None:
        given = token(subscribe=None, publish=None)
        async with websocket(plain, INBOX, token=given) as socket, Http(plain) as http:
            answer = await http.post_send(json.dumps(publish(INBOX, "hi")), token=given)
            assert answer.status == 200
            assert await socket.data(1) == ["hi"]
            assert (await http.post_send(json.dumps(publish(INBOX, "hi")))).status == 401
            assert (await http.get(f"/poll?topics={INBOX}")).status == 401

    async def test_a_websocket_is_refused_a_topic_and_stays(self, plain: Node, framing: str) -> None:
        async with websocket(plain, "a", format=framing, token=token(subscribe=["a", "b"], publish=["a"])) as socket:
            assert (await socket.ask(action="subscribe", topics=["c"]))["code"] == "forbidden"
            assert (await socket.ask(**publish("b", 1)))["code"] == "forbidden"
            assert (await socket.ask(action="subscribe", topics=["b"]))["topics"] == ["a", "b"]
            await socket.send(**publish("a", "heard"))
            assert await socket.data(1) == ["heard"]

    async def test_subjects_part_what_is_the_same_and_stand_beside_it(self, plain: Node, wire: str) -> None:
        """Dedupe goes by subject too, and so does whose own messages are left out."""
        anna, bert = token(sub="anna"), token(sub="bert")
        async with Http(plain) as http, reader(wire, plain, "a", client="me", echo="0", token=anna) as stream:
            for given, duplicate in ((bert, False), (anna, False), (bert, True)):
                reply = await http.send(publish("a", 1, id="same"), client="me", token=given)
                assert reply["duplicate"] is duplicate
            await http.send(publish("a", "fence"), client="me", token=bert)
            messages = await stream.messages(2)
        assert [(message["data"], message["sub"]) for message in messages] == [(1, "bert"), ("fence", "bert")]


class TestEnd:
    """What is open when a token expires ends with it, and whoever comes back at the cursor misses nothing."""

    async def test_a_websocket_is_closed_with_4001(self, plain: Node, framing: str) -> None:
        async with websocket(plain, "a", format=framing, token=token(life=LIFE)) as socket, Http(plain) as http:
            await http.send(publish("a", 1), token=token())
            assert await socket.data(1) == [1]
            error = await socket.next("error", timeout=5)
            assert error["code"] == "unauthorized"
            assert await socket.close_code() == 4001
            await eventually(lambda: plain.service.connections["ws"] == 0)

    async def test_an_event_stream_says_so_and_ends(self, plain: Node, framing: str) -> None:
        async with event_stream(plain, "a", format=framing, token=token(life=LIFE)) as stream:
            event = await stream.next_event()
            assert (event.event, stream.frame_of(event.data or "")["code"]) == ("failure", "unauthorized")
            assert event.id == stream.hello["cursor"]
            with pytest.raises(Ended):
                await stream.next_event()

    async def test_a_poll_is_answered(self, plain: Node) -> None:
        given = token(life=LIFE)
        async with Http(plain) as http:
            cursor = (await http.poll("a", token=given))["cursor"]
            start = time.monotonic()
            answer = await http.get(f"/poll?{urlencode({'topics': 'a', 'cursor': cursor, 'token': given})}")
            assert (answer.status, answer.json["code"]) == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert time.monotonic() - start < LIFE + 3
            await http.send(publish("a", "meanwhile"), token=token())
            batch = await http.poll("a", cursor=cursor, token=token())
            assert [message["data"] for message in batch["messages"]] == ["meanwhile"]

    async def test_what_comes_afterwards_is_not_shown(self, plain: Node) -> None:
        async with websocket(plain, "a", token=token(life=LIFE)) as socket, Http(plain) as http:
            sender = token()
            for number in range(40):
                await http.send(publish("a", number), token=sender)
                await asyncio.sleep(LIFE / 20)
            frames = await socket.rest()
            kinds = [frame["type"] for frame in frames]
            assert kinds[-1] == "error"
            assert 0 < kinds.count("message") < 40
            missing = await http.poll("a", cursor=frames[-2]["cursor"], token=sender)
            numbers = [frame["data"] for frame in (*frames[:-1], *missing["messages"])]
            assert numbers == list(range(40))

    async def test_a_refresh_makes_it_longer(self, plain: Node) -> None:
        async with websocket(plain, "a", token=token(life=LIFE)) as socket:
            assert (await socket.ask(action="refresh", token=token(sub="bert")))["code"] == "forbidden"
            assert (await socket.ask(action="refresh", token=token(subscribe=["b"])))["code"] == "forbidden"
            for bad in ("x", token(more="x" * 8000)):
                assert (await socket.ask(action="refresh", token=bad))["code"] == "unauthorized"
            assert (await socket.ask(action="refresh", token=token(publish=["b"]), ref="1")) == {
                "type": "reply",
                "action": "refresh",
                "ref": "1",
            }
            await asyncio.sleep(LIFE + 0.5)
            assert (await socket.ask(action="ping"))["type"] == "reply"
            assert (await socket.ask(**publish("a", 1)))["code"] == "forbidden"
            assert (await socket.ask(**publish("b", 1)))["type"] == "reply"

    async def test_leeway_counts(self) -> None:
        async with running(token_secret=SECRET, token_leeway=30.0) as server:
            given = token(life=-5)
            for way in WAYS:
                assert (await seen_by(server, way, given))[0] == 200

    async def test_without_end_where_that_is_allowed(self) -> None:
        async with running(token_secret=SECRET, token_without_exp=True) as server:
            assert (await seen_by(server, "ws", token(exp=None)))[0] == 200
            assert (await seen_by(server, "ws", token(life=-60)))[0] == 401


class TestKeysThatChange:
    async def test_a_key_that_is_taken_away_takes_its_connections_with_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(audience, "PARKED_CHECK", 0.2)
        monkeypatch.setattr(keys, "LOOK_AGAIN", 0.2)
        old, new = pair("ES256", "old"), pair("RS256", "new")
        async with issuing(old) as issuer, running(token_keys=issuer.url, token_keys_refresh=0.2) as server:
            async with (
                websocket(server, "a", token=old.token()) as socket,
                event_stream(server, "a", token=old.token()) as stream,
                Http(server) as http,
            ):
                query = urlencode({"topics": "a", "cursor": socket.hello["cursor"], "token": old.token()})
                parked = asyncio.create_task(http.get(f"/poll?{query}"))
                await eventually(lambda: server.service.bus.parked == 1)
                issuer.keys = [new]
                # Named by a token before the keys are read again: they are read at once.
                assert (await seen_by(server, "poll", new.token()))[0] == 200
                for way in TRANSPORTS:
                    assert await seen_by(server, way, old.token()) == (401, "unauthorized")
                assert (await socket.next("error"))["code"] == "unauthorized"
                assert await socket.close_code() == 4001
                assert (await stream.next())["code"] == "unauthorized"
                assert (await parked).status == 401

    async def test_an_issuer_that_was_away_at_the_start_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.ERROR, logger="tricast_server.guard.keys")  # it warns, as it should
        key = pair("EdDSA", "k")
        async with issuing(key) as issuer:
            issuer.status = 500
            async with running(token_keys=issuer.url, token_keys_refresh=0.2) as server, Http(server) as http:
                answer = await http.get(f"/poll?token={key.token()}")
                assert (answer.status, answer.json["code"]) == (503, "unavailable")
                issuer.status = 200

                async def works() -> bool:
                    return (await http.get(f"/poll?token={key.token()}")).status == 200

                async with asyncio.timeout(5):
                    while not await works():
                        await asyncio.sleep(0.1)


class TestAnApplicationsOwn:
    async def test_a_grant_says_more_than_a_subject(self) -> None:
        left = set[str]()

        async def door(access: Access) -> Grant | str | None:
            if access.what == "publish":
                return "someone"
            return Grant(subject="anna", expires=time.time() + 30, revoked=lambda: "anna" in left)

        async with running(authorise=door) as server, websocket(server, "a") as socket:
            reply = await socket.ask(action="ping")
            assert reply["type"] == "reply"
            left.add("anna")
            server.service.leases.review()
            assert (await socket.next())["code"] == "unauthorized"
            assert await socket.close_code() == 4001

    def test_one_of_both(self) -> None:
        async def door(access: Access) -> str | None:
            return None

        with pytest.raises(ValueError, match="either"):
            Service(Settings(token_secret=SECRET), authorise=door)

    def test_no_secret_shows_where_things_are_printed(self) -> None:
        assert SECRET not in repr(Settings(token_secret=SECRET))
