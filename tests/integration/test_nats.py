"""The log in JetStream where it is its own: lives of a stream, streams of others, credentials, limits, lost roads.

What it shares with every other engine is in `tests/contract`.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext
from tests.contract.engine_nats import Server
from tests.contract.engines import Tail, append, engine
from tests.helpers import HOST, eventually, missing

from tricast.errors import TooLarge, Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, Receipt
from tricast_server.backplane.nats import NatsBackplane
from tricast_server.backplane.nats_stream import SLACK
from tricast_server.bus.log import Retention

BACK = 10.0


@pytest.fixture
def server() -> Iterator[Server]:
    with engine("nats") as running:
        assert isinstance(running, Server)
        yield running


@asynccontextmanager
async def opened(*backplanes: Backplane) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for backplane in backplanes:
            await backplane.close()


@asynccontextmanager
async def administrator(server: Server) -> AsyncIterator[JetStreamContext]:
    """Somebody with another client."""
    client = await nats.connect(server.url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def acknowledged(backplane: Backplane, data: str = "1") -> Receipt:
    """A publisher who tries until it is told."""
    async with asyncio.timeout(BACK):
        while True:
            try:
                return await append(backplane, data=data)
            except Unavailable:
                await asyncio.sleep(0.02)


class Road:
    """The way from one node to the server. It can be closed and opened again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._connected, HOST, self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, self._server.port)
        self._writers += (writer, there_writer)
        self._tasks += (
            asyncio.create_task(self._carry(reader, there_writer)),
            asyncio.create_task(self._carry(there_reader, writer)),
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def far_node(server: Server, retention: Retention | None = None) -> AsyncIterator[tuple[Road, Backplane, Tail]]:
    """A node that follows the log over a road of its own."""
    road, tail = Road(server), Tail()
    await road.open()
    backplane = NatsBackplane(road.url, retention=retention)
    try:
        await backplane.tail(tail)
        yield road, backplane, tail
    finally:
        await backplane.close()
        await road.close()


class TestLivesOfTheStream:
    async def test_rolled_back_and_grown_past_what_a_node_saw(self, server: Server) -> None:
        """Its end alone says nothing: the message that the node saw last has another's text."""
        async with far_node(server) as (road, far, tail):
            for number in range(3):
                await append(far, data=str(number))
            await road.close()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.save)
            await asyncio.to_thread(server.start)
            await road.open()
            lost = await acknowledged(far, "lost")
            await tail.reaches(lost.at.offset)
            await road.close()
            await asyncio.to_thread(server.roll_back)
            await asyncio.to_thread(server.start)
            near = server.backplane()
            async with opened(near):
                for number in range(5):
                    receipt = await append(near, data=f"new {number}")
                assert (receipt.at.epoch, receipt.at.offset) == (lost.at.epoch, lost.at.offset + 4)
                await road.open()
                await eventually(lambda: len(tail.starts) > 1, timeout=BACK)
                assert tail.starts[1].epoch != lost.at.epoch
                after = await acknowledged(near, "after")
                await tail.reaches(after.at.offset, BACK)
                assert after.at.epoch == tail.starts[1].epoch
                assert [entry.data for entry in tail.entries] == ["0", "1", "2", "lost", "after"]
                assert (await near.bounds()).epoch == (await far.bounds()).epoch == after.at.epoch

    async def test_grown_without_a_loss_it_is_the_same_life(self, server: Server) -> None:
        near = server.backplane()
        async with opened(near), far_node(server) as (road, far, tail):
            await tail.reaches((await append(far, data="0")).at.offset)
            await road.close()
            for number in range(1, 4):
                receipt = await append(near, data=str(number))
            await road.open()
            await tail.reaches(receipt.at.offset, BACK)
            assert [entry.data for entry in tail.entries] == ["0", "1", "2", "3"]
            assert len(tail.starts) == 1

    @pytest.mark.parametrize("comes", [True, False], ids=["something comes", "nothing comes"])
    async def test_what_was_trimmed_while_a_node_was_away_is_said(self, server: Server, comes: bool) -> None:
        few = Retention(count=5)
        near = server.backplane(retention=few)
        async with opened(near), far_node(server, few) as (road, far, tail):
            first = await append(far)
            await tail.reaches(first.at.offset)
            await road.close()
            for _ in range(few.count + SLACK + 20):
                receipt = await append(near)
            if not comes:
                async with administrator(server) as js:
                    await js.purge_stream("tricast")
            await road.open()
            await eventually(lambda: len(tail.starts) > 1, timeout=BACK)
            missed = receipt.at.offset - few.count - SLACK if comes else receipt.at.offset
            assert tail.starts[1] == Cursor(first.at.epoch, missed)
            await acknowledged(near)
            await tail.reaches(receipt.at.offset + 1)
            assert tail.offsets == [first.at.offset, *range(missed + 1, receipt.at.offset + 2)]
            assert len(tail.starts) == 2

    async def test_deleted_under_its_nodes_it_is_made_anew(self, server: Server) -> None:
        pair = [server.backplane(), server.backplane()]
        tails = [Tail(), Tail()]
        async with opened(*pair), administrator(server) as js:
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            old = await append(pair[0])
            await js.delete_stream("tricast")
            with pytest.raises(Unavailable):
                await append(pair[0])
            new = await acknowledged(pair[0])
            assert (new.at.epoch != old.at.epoch, new.at.offset) == (True, 1)
            for tail in tails:  # one of them hears of it by the silence
                await eventually(lambda tail=tail: len(tail.entries) == 2, timeout=BACK)  # type: ignore[misc]  # lambda
                assert tail.starts[1:] == [Cursor(new.at.epoch, 0)]

    async def test_deleted_and_looked_at_it_is_made_anew(self, server: Server) -> None:
        backplane, tail = server.backplane(), Tail()
        async with opened(backplane), administrator(server) as js:
            bounds = await backplane.tail(tail)
            await js.delete_stream("tricast")
            with pytest.raises(Unavailable):
                await backplane.bounds()
            assert (await backplane.bounds()).epoch != bounds.epoch
            await eventually(lambda: len(tail.starts) == 2)

    async def test_two_that_rename_it_at_once_come_to_agree(self, server: Server) -> None:
        """As each finds what it saw lost, on its own."""
        pair = [server.backplane(), server.backplane()]
        tails = [Tail(), Tail()]
        async with opened(*pair):
            for backplane, tail in zip(pair, tails, strict=True):
                await backplane.tail(tail)
            await append(pair[0])
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.save)
            await asyncio.to_thread(server.start)
            lost = [await acknowledged(backplane) for backplane in pair]
            for tail in tails:
                await tail.reaches(max(receipt.at.offset for receipt in lost), BACK)
            await asyncio.to_thread(server.roll_back)
            await asyncio.to_thread(server.start)
            receipts = await asyncio.gather(*(acknowledged(backplane, "new") for backplane in pair))
            receipts.append(await acknowledged(pair[0], "end"))
            for tail in tails:
                await tail.reaches(receipts[-1].at.offset, BACK)
                assert tail.starts[-1].epoch == receipts[-1].at.epoch
                assert tail.starts[0].epoch == lost[0].at.epoch

    async def test_a_stream_that_was_made_for_it_is_taken_over(self, server: Server) -> None:
        backplane = server.backplane()
        async with opened(backplane), administrator(server) as js:
            await js.add_stream(name="tricast", subjects=["foo"], max_msg_size=10_000)
            assert (await append(backplane)).at.offset == 1
            config = (await js.stream_info("tricast")).config
            assert (config.max_msg_size, "foo" in (config.subjects or [])) == (10_000, False)

    async def test_a_stream_of_somebody_else_is_left_alone(self, server: Server) -> None:
        backplane = server.backplane()
        async with opened(backplane), administrator(server) as js:
            before = await js.add_stream(name="tricast", subjects=["foo"])
            await js.publish("foo", b"not ours")
            with pytest.raises(Unavailable):
                await backplane.tail(Tail())
            assert (await js.stream_info("tricast")).config == before.config

    async def test_what_others_wrote_into_it_is_no_entry(self, server: Server) -> None:
        """An operator who gave it another subject has it taken away again, in a new epoch."""
        backplane, tail = server.backplane(), Tail()
        async with opened(backplane), administrator(server) as js:
            old = await append(backplane)
            await backplane.tail(tail)
            config = (await js.stream_info("tricast")).config
            await js.update_stream(config.evolve(subjects=["foo"]))
            await js.publish("foo", b"not ours")
            await eventually(lambda: len(tail.starts) == 2, timeout=BACK)
            new = await acknowledged(backplane)
            assert (new.at.epoch != old.at.epoch, new.at.offset) == (True, 3)
            await tail.reaches(3)
            assert tail.offsets == [1, 3]

    async def test_a_message_that_somebody_removed_is_missed(self, server: Server) -> None:
        backplane, tail = server.backplane(), Tail()
        async with opened(backplane), administrator(server) as js:
            receipts = [await append(backplane) for _ in range(4)]
            await js.delete_msg("tricast", 2)
            await js.delete_msg("tricast", 4)
            bounds = await backplane.tail(tail)
            epoch = receipts[0].at.epoch
            assert tail.starts == [Cursor(epoch, 0), Cursor(epoch, 2)]
            assert tail.offsets == [1, 3]
            assert (bounds.start, bounds.end) == (2, 4)


async def test_the_node_that_starts_last_sets_the_limits(server: Server) -> None:
    first = server.backplane()
    async with opened(first):
        epoch = (await append(first)).at.epoch
        second = server.backplane(retention=Retention(count=7, age=60, size=2**20), dedupe_window=5)
        async with opened(second):
            assert (await append(second)).at == Cursor(epoch, 2)
            async with administrator(server) as js:
                config = (await js.stream_info("tricast")).config
            assert (config.max_msgs, config.max_age, config.max_bytes) == (7 + SLACK, 60, 2**20)
            assert config.duplicate_window == 5


async def test_what_is_over_the_engines_limit_is_refused_and_harms_nobody(server: Server) -> None:
    backplane = server.backplane()
    async with opened(backplane):
        first, refused, second = await asyncio.gather(
            append(backplane), append(backplane, data=b"x" * 2**20), append(backplane), return_exceptions=True
        )
        assert isinstance(refused, TooLarge)
        assert isinstance(first, Receipt)
        assert isinstance(second, Receipt)
        assert second.at == Cursor(first.at.epoch, 2)


async def test_a_long_backlog_is_read_whole(server: Server) -> None:
    """More than the engine sends without being told that it was read."""
    first = server.backplane()
    async with opened(first):
        data = b"x" * 200_000
        for _ in range(10):
            await asyncio.gather(*(append(first, data=data) for _ in range(20)))
        late, tail = server.backplane(), Tail()
        async with opened(late):
            bounds = await late.tail(tail)
            assert tail.offsets == list(range(bounds.start + 1, 201))
            assert len(tail.starts) == 1


async def test_too_much_under_way_is_refused(server: Server) -> None:
    backplane = server.backplane()
    async with opened(backplane):
        await append(backplane)
        server.pause()
        outcomes = await asyncio.gather(
            *(append(backplane, data=b"x" * 900_000) for _ in range(30)), return_exceptions=True
        )
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert sum("keep up" in str(outcome) for outcome in outcomes) >= 10
        server.resume()


async def test_nothing_goes_on_after_its_end(server: Server) -> None:
    backplane, tail = server.backplane(), Tail()
    await backplane.tail(tail)
    await append(backplane, id="a")
    await backplane.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Guarded(Server):
    """With options of its own."""

    options: list[str]

    def command(self) -> list[str]:
        return [*super().command(), *self.options]


@contextmanager
def guarded(folder: Path, *options: str) -> Iterator[Guarded]:
    if shutil.which(Guarded.program) is None:
        missing(Guarded.program)
    server = Guarded(folder, durable=True)
    server.options = list(options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class TestCredentials:
    @pytest.mark.parametrize(
        ("options", "right", "wrong"),
        [(["--user", "ann", "--pass", "s3cret"], "ann:s3cret", "ann:other"), (["--auth", "t0ken"], "t0ken", "other")],
        ids=["password", "token"],
    )
    async def test_in_the_url(self, tmp_path: Path, options: list[str], right: str, wrong: str) -> None:
        with guarded(tmp_path, *options) as server:
            good, bad = (NatsBackplane(f"nats://{who}@{HOST}:{server.port}") for who in (right, wrong))
            async with opened(good, bad):
                assert (await append(good)).at.offset == 1
                with pytest.raises(Unavailable) as refused:
                    await append(bad)
                assert wrong not in str(refused.value)
                assert not bad.up

    async def test_tls_and_options(self, tmp_path: Path) -> None:
        certificate, key = await asyncio.to_thread(_certificate, tmp_path)
        tls = ["--tls", "--tlscert", str(certificate), "--tlskey", str(key), "--user", "ann", "--pass", "s3cret"]
        with guarded(tmp_path, *tls) as server:
            trusting = ssl.create_default_context(cafile=str(certificate))
            url = f"tls://{HOST}:{server.port}"
            good = NatsBackplane(url, options={"tls": trusting, "user": "ann", "password": "s3cret"})
            wary = NatsBackplane(url, options={"user": "ann", "password": "s3cret"})
            async with opened(good, wary):
                assert (await append(good)).at.offset == 1
                with pytest.raises(Unavailable):
                    await append(wary)  # nobody it trusts has signed that certificate


def _certificate(folder: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        missing("openssl")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*made, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


async def test_several_servers_of_which_one_is_dead(server: Server) -> None:
    for url in (f"nats://{HOST}:1,{server.url}", f"{server.url}, nats://{HOST}:1"):
        backplane = NatsBackplane(url)
        async with opened(backplane):
            await acknowledged(backplane)
