"""Going away: what was acknowledged reaches everyone who reads, then a bye, and nothing new is taken."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import closing

import pytest
from tests.helpers import HOST, Node, Process, running, serving
from tests.helpers_clients import WIRES, Ended, Frame, Http, event_stream, publish, reader, readers, websocket
from websockets.exceptions import InvalidStatus

from tricast_server.drain import drain


def assert_bye(frame: Frame) -> None:
    assert frame["type"] == "bye"
    assert frame["reason"] == "drain"
    assert 0 <= frame["reconnect_after"] <= 10


class TestOnEveryTransport:
    async def test_everything_acknowledged_then_bye_then_the_end(self, wire: str) -> None:
        async with running() as server, Http(server) as http, reader(wire, server, "a") as subscriber:
            await http.publish("a", *range(500))
            draining = asyncio.create_task(drain(server.service))
            frames = await subscriber.rest()
            async with asyncio.timeout(5):
                await draining
        assert [frame["data"] for frame in frames[:-1]] == list(range(500))
        assert_bye(frames[-1])

    async def test_from_far_behind_too(self, wire: str) -> None:
        """Megabytes of the log stand before the bye when it begins."""
        async with running(drain_timeout=15.0) as server, Http(server) as http:
            for _ in range(20):
                await http.publish("a", "x" * 200_000)
            async with reader(wire, server, "a", cursor="earliest") as subscriber:
                draining = asyncio.create_task(drain(server.service))
                frames = await subscriber.rest()
                async with asyncio.timeout(20):
                    await draining
        assert [frame["type"] for frame in frames] == ["message"] * 20 + ["bye"]

    async def test_a_text_reader_gets_its_lines(self, transport: str) -> None:
        async with running() as server, Http(server) as http:
            async with reader(transport, server, "a", format="text") as subscriber:
                await http.publish("a", "m1", "m2")
                draining = asyncio.create_task(drain(server.service))
                assert await subscriber.data(2) == ["m1", "m2"]
            await http.close()
            async with asyncio.timeout(5):
                await draining

    async def test_the_times_to_come_back_are_spread(self) -> None:
        async with running() as server, readers(server, "a") as first, readers(server, "a") as second:
            draining = asyncio.create_task(drain(server.service))
            subscribers = [subscriber for group in (first, second) for subscriber in group.values()]
            byes = [(await subscriber.rest())[-1] for subscriber in subscribers]
            await draining
        assert len({bye["reconnect_after"] for bye in byes}) > 1


class TestItsEnd:
    async def test_a_websocket_closes_with_1012(self, framing: str) -> None:
        async with running() as server, websocket(server, "a", format=framing) as socket:
            draining = asyncio.create_task(drain(server.service))
            assert_bye(await socket.next())
            with pytest.raises(Ended):
                await socket.next()
            assert await socket.close_code() == 1012
            await draining

    async def test_an_event_stream_ends_with_the_time_to_retry(self, framing: str) -> None:
        async with running() as server, event_stream(server, "a", format=framing) as stream:
            draining = asyncio.create_task(drain(server.service))
            event = await stream.next_event()
            bye = stream.frame_of(event.data or "")
            with pytest.raises(Ended):
                await stream.next_event()
            await draining
        assert_bye(bye)
        assert (event.event, event.id) == ("bye", stream.hello["cursor"])
        assert event.retry == str(round(bye["reconnect_after"] * 1000))

    async def test_a_parked_poll_is_answered_at_once(self, framing: str) -> None:
        async with running() as server, Http(server) as http:
            cursor = await http.now("a")
            poll = asyncio.create_task(http.get(f"/poll?topics=a&wait=30&cursor={cursor}&format={framing}"))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(10):
                _, answer = await asyncio.gather(drain(server.service), poll)
        assert answer.batch["messages"] == []
        assert_bye({"type": "bye", **answer.batch["bye"]})
        assert answer.headers["Connection"] == "close"

    async def test_a_poll_with_more_to_read_gets_its_bye_with_the_last_of_it(self, framing: str) -> None:
        async with running() as server, Http(server) as http:
            cursor = await http.now("a")
            await http.publish("a", *range(10))
            draining = asyncio.create_task(drain(server.service))
            first = await http.poll("a", format=framing, cursor=cursor, limit=6)
            last = await http.poll("a", format=framing, cursor=first["cursor"], limit=6)
            await draining
        assert (len(first["messages"]), "bye" in first) == (6, False)
        assert (len(last["messages"]), "bye" in last) == (4, True)


class TestNothingNew:
    async def test_publishes_are_refused_and_told_when_to_come_again(self) -> None:
        async with running() as server, Http(server) as http, websocket(server, "a") as socket:
            await server.service.bus.stop_publishing()
            assert (await socket.ask(**publish("a", 1)))["code"] == "unavailable"
            for path in ("/send", "/topics/a"):
                answer = await http.request("POST", path, body=json.dumps(publish("a", 1)))
                assert (answer.status, answer.json["code"]) == (503, "unavailable")
                assert answer.json["retry_after"] > 0
                assert int(answer.headers["Retry-After"]) > 0

    async def test_an_event_stream_that_comes_late_is_sent_elsewhere_in_its_way(
        self, server: Node, framing: str
    ) -> None:
        """With status 200 and an event, as a browser never comes back after another status."""
        await server.service.bus.stop_publishing()
        async with event_stream(server, format=framing) as stream:
            assert (stream.hello["code"], stream.hello["retry_after"]) == ("unavailable", 1.0)
            with pytest.raises(Ended):
                await stream.next_event()

    async def test_a_websocket_that_comes_late_is_refused_before_the_upgrade(self, server: Node) -> None:
        await server.service.bus.stop_publishing()
        with pytest.raises(InvalidStatus) as refused:
            async with websocket(server):
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]

    async def test_a_poll_that_comes_late_gets_its_bye(self, server: Node, http: Http, framing: str) -> None:
        await server.service.bus.stop_publishing()
        answer = await http.poll(format=framing, wait=30)
        assert_bye({"type": "bye", **answer["bye"]})
        answer = await http.poll(format=framing, wait=30, cursor=answer["cursor"])
        assert_bye({"type": "bye", **answer["bye"]})

    async def test_it_is_alive_and_not_ready(self, server: Node, http: Http) -> None:
        await server.service.bus.stop_publishing()
        assert (await http.get("/readyz")).status == 503
        assert (await http.get("/healthz")).status == 200
        assert (await http.get("/stats")).json["draining"] is True


async def test_sigterm_ends_it_in_time_whoever_does_not_read() -> None:
    with serving("--drain-timeout", "3", "--heartbeat", "5") as process, closing(stuck_stream(process, "big")):
        async with readers(process, "a", wires=WIRES) as subscribers, Http(process, connections=1) as kept:
            for _ in range(10):
                await kept.publish("big", *["x" * 100_000] * 8)
            await kept.publish("a", *range(20))
            clock = asyncio.get_running_loop()
            started = clock.time()
            process.terminate()
            logs = await asyncio.gather(*(subscriber.rest() for subscriber in subscribers.values()))
            assert clock.time() - started < 2.5
            for log in logs:
                assert [frame["data"] for frame in log[:-1]] == list(range(20))
                assert_bye(log[-1])
            assert await told_to_go(kept)
        assert await asyncio.to_thread(process.wait) == 0
        assert clock.time() - started < 10


def stuck_stream(server: Process, topic: str) -> socket.socket:
    """An event stream of which nothing is ever read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((HOST, server.port))
    client.sendall(f"GET /sse?topics={topic} HTTP/1.1\r\nHost: {server.authority}\r\n\r\n".encode())
    return client


async def told_to_go(kept: Http) -> bool:
    """Whether a connection that was kept alive is refused, or closed."""
    try:
        answers = [await kept.get("/readyz"), await kept.post_send(json.dumps(publish("a", "late")))]
    except OSError:
        return True
    return [answer.status for answer in answers] == [503, 503]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with serving("--drain-timeout", "30") as process, closing(stuck_stream(process, "big")):
        async with Http(process) as http:
            for _ in range(10):
                await http.publish("big", *["x" * 100_000] * 8)
        process.process.send_signal(number)
        await asyncio.sleep(0.3)
        assert process.process.poll() is None
        process.process.send_signal(number)
        assert await asyncio.to_thread(process.wait, 10) == 0
