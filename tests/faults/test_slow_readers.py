"""Whoever stops reading costs a bounded piece of memory, holds up nobody, and is told what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing

import pytest
from tests.helpers import Process, running, serving
from tests.helpers_clients import FORMATS, Frame, Http, Reader, reader
from tests.helpers_raw import SMALL, RawStream, client_frame, connect, request_head, upgrade_head

KIB, MIB = 2**10, 2**20
STREAMS = ("ws", "sse")
LARGE = "x" * 50_000


async def frames_up_to(stream: RawStream, fence: object) -> list[Frame]:
    """Messages and gaps up to the message with this data."""
    frames: list[Frame] = []
    while not frames or frames[-1].get("data") != fence:
        frame = await stream.next()
        if frame["type"] in ("message", "gap"):
            frames.append(frame)
    return frames


@pytest.mark.parametrize("transport", STREAMS)
async def test_it_gets_everything_while_the_log_has_it(transport: str) -> None:
    async with running(write_buffer=64 * KIB) as server, Http(server) as http:
        async with RawStream(transport, server, "topics=a") as slow:
            places = await http.publish("a", *[[n, LARGE] for n in range(300)])
            places += await http.publish("a", "fence")
            frames = await frames_up_to(slow, "fence")
    assert [frame["cursor"] for frame in frames] == places
    assert [frame["data"][0] for frame in frames[:-1]] == list(range(300))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("transport", STREAMS)
async def test_it_gets_a_gap_where_the_log_has_let_go(transport: str, format: str) -> None:
    async with running(write_buffer=64 * KIB, retention_count=20) as server, Http(server) as http:
        async with RawStream(transport, server, f"topics=a&format={format}") as slow:
            places = await http.publish("a", *[[n, LARGE] for n in range(300)])
            places += await http.publish("a", "fence")
            frames = await frames_up_to(slow, "fence")
    assert "gap" in {frame["type"] for frame in frames}
    assert explained(frames, places)
    assert [frame["cursor"] for frame in frames[-20:]] == places[-20:]


def explained(frames: list[Frame], places: list[str]) -> bool:
    """Whether every message of `places` has come, once and in order, or stands in a gap."""
    at = 0
    for frame in frames:
        place = places.index(frame["cursor"])
        if frame["type"] == "gap":
            assert (frame["reason"], frame["topics"], frame["exact"]) == ("slow", ["a"], True)
            assert frame["after"] == places[at - 1]
            assert place >= at
        else:
            assert place == at
        at = place + 1
    return at == len(places)


@pytest.mark.parametrize("transport", STREAMS)
async def test_it_goes_live_again_once_it_has_caught_up(transport: str) -> None:
    async with running(write_buffer=64 * KIB) as server, Http(server) as http:
        async with RawStream(transport, server, "topics=a") as slow:
            for round_ in range(3):
                await http.publish("a", *[LARGE] * 150, round_)
                frames = await frames_up_to(slow, round_)
                assert [frame["type"] for frame in frames] == ["message"] * 151
            await http.publish("a", "fence")
            assert [frame["data"] for frame in await frames_up_to(slow, "fence")] == ["fence"]


class TestMemory:
    """Measured on the process: what it holds for those who do not read. All of it would be hundreds of MiB."""

    WRITE_BUFFER = 64 * KIB
    MESSAGE = 100_000
    EACH = WRITE_BUFFER + 64 * KIB + 2 * MESSAGE
    """The high mark, a step of the catch-up, and the message that went over each of them."""
    SLACK = 12 * MIB

    @pytest.fixture
    async def server(self) -> AsyncIterator[Process]:
        options = ("--write-buffer", str(self.WRITE_BUFFER), "--retention-count", "10", "--heartbeat", "60")
        with serving(*options) as process:
            async with Http(process) as http:
                await http.publish("a", *["x" * self.MESSAGE] * 60)
            yield process

    async def test_streams_that_are_not_read_and_one_that_is(self, server: Process) -> None:
        before = server.memory
        async with AsyncExitStack() as stack:
            for transport in STREAMS * 15:
                await stack.enter_async_context(RawStream(transport, server, "topics=a"))
            healthy = await stack.enter_async_context(reader("ws", server, "a"))
            http = await stack.enter_async_context(Http(server))
            assert await self.longest_delay(http, reader=healthy, messages=200) < 3.0
            assert server.connections == {"ws": 16, "sse": 15, "poll": 0}
            assert server.memory - before < 30 * self.EACH + self.SLACK

    async def longest_delay(self, http: Http, *, reader: Reader, messages: int) -> float:
        """Seconds from the acknowledgement of a publish to its arrival."""
        clock = asyncio.get_running_loop()
        delays: list[float] = []
        for number in range(messages):
            (place,) = await http.publish("a", [number, "x" * self.MESSAGE])
            acknowledged = clock.time()
            assert (await reader.next("message", "gap"))["cursor"] == place
            delays.append(clock.time() - acknowledged)
        return max(delays)

    async def test_polls_that_are_pipelined_and_not_read(self, server: Process) -> None:
        before = server.memory
        poll = request_head(server, "/poll?topics=a&cursor=earliest")
        with closing(connect(server, receive_buffer=SMALL)) as client:
            client.sendall(poll * 200)
            await asyncio.sleep(1)
            assert server.memory - before < 2 * MIB + self.SLACK

    async def test_polls_at_a_cursor_that_are_pipelined_and_not_read(self, server: Process) -> None:
        async with Http(server) as http:
            await http.publish("p", *["x" * 1000] * 250)
            epoch = (await http.poll("p"))["cursor"].rpartition("-")[0]
        before = server.memory
        with closing(connect(server, receive_buffer=SMALL)) as client:
            client.sendall(request_head(server, f"/poll?topics=p&cursor={epoch}-0") * 400)
            await asyncio.sleep(1.5)
            assert server.memory - before < 2 * MIB + self.SLACK

    async def test_replies_that_are_not_read(self, server: Process) -> None:
        """It stops taking commands then, so that the sender is the one to wait."""
        before = server.memory
        echo = client_frame(b'{"action":"echo","data":"%b"}' % (b"x" * self.MESSAGE))
        with closing(connect(server, receive_buffer=SMALL)) as client:
            client.sendall(upgrade_head(server, "/ws"))
            client.settimeout(1.0)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 100 * MIB:
                    sent += client.send(echo)
            assert server.memory - before < 2 * MIB + self.SLACK
