"""The log in Redis where it is its own: what becomes of its keys, what Redis refuses, and every kind of address.

What it shares with every other engine is in `tests/contract`.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from tests.contract.engine_redis import Server
from tests.contract.engines import Tail, append, engine
from tests.helpers import HOST, eventually, missing, unused_port

from tricast.errors import Unavailable
from tricast.wire.cursor import Cursor
from tricast_server.backplane.base import Backplane, EpochStarted
from tricast_server.backplane.redis import RedisBackplane
from tricast_server.backplane.redis_client import client_of
from tricast_server.backplane.redis_store import Seen, Store, to_id, to_offset
from tricast_server.backplane.redis_tail import Tail as StreamTail
from tricast_server.bus.log import Retention

LOG, HEAD = "{tricast}:log", "{tricast}:head"
BACK = 15.0


@pytest.fixture
def server() -> Iterator[Server]:
    with engine("redis", durable=False) as running:
        assert isinstance(running, Server)
        yield running


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[Any]:
    """Somebody with another client."""
    client: Any = Redis(host=HOST, port=server.port)
    yield client
    await client.aclose()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisBackplane]:
    backplane = RedisBackplane(url, **options)
    try:
        yield backplane
    finally:
        await backplane.close()


async def works(backplane: Backplane) -> None:
    tail = Tail()
    await backplane.tail(tail)
    receipts = await asyncio.gather(*(append(backplane, data=str(n), id=f"i{n}") for n in range(20)))
    assert (await append(backplane, data="7", id="i7")).duplicate is True
    await tail.reaches(max(receipt.at.offset for receipt in receipts))
    assert len(tail.entries) == 20
    assert (await backplane.bounds()).end == tail.offsets[-1]


# Its keys


@pytest.mark.parametrize("key", [LOG, HEAD])
async def test_a_key_that_is_gone_is_another_epoch(server: Server, admin: Any, key: str) -> None:
    async with opened(server.url) as one, opened(server.url) as two:
        tail = Tail()
        await two.tail(tail)
        first = await append(one)
        await tail.reaches(first.at.offset)
        await admin.delete(key)
        second = await append(one)
        assert second.at.epoch != first.at.epoch
        assert second.at.offset > first.at.offset
        await tail.reaches(second.at.offset)
        assert [at.epoch for at in tail.starts] == [first.at.epoch, second.at.epoch]


async def test_what_somebody_else_writes_is_another_epoch_and_it_goes_on(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane:
        tail = Tail()
        await backplane.tail(tail)
        first = await append(backplane)
        await tail.reaches(first.at.offset)
        await admin.xadd(LOG, {"hello": "world"}, id=to_id(first.at.offset + (5000 << 20)).decode())
        await eventually(lambda: len(tail.starts) == 2)
        second = await append(backplane)
        await tail.reaches(second.at.offset)
        assert tail.starts[1].epoch == second.at.epoch != first.at.epoch


async def test_an_entry_that_cannot_be_read_is_a_gap(
    server: Server, admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server.url) as backplane:
        tail = Tail()
        bounds = await backplane.tail(tail)
        strange = to_id((int(time.time() * 1000) << 20) + 7)
        await admin.xadd(LOG, {"prev": to_id(bounds.end), "entry": b"\xffnewer"}, id=strange)
        await admin.hset(HEAD, "last", strange)
        receipt = await append(backplane)
        await tail.reaches(receipt.at.offset)
        assert tail.starts[1:] == [Cursor(bounds.epoch, to_offset(strange))]
        assert "cannot be read" in caplog.text


async def test_ids_never_run_backwards_and_fit_an_offset(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane:
        tail = Tail()
        await backplane.tail(tail)
        ahead = (int(time.time() * 1000) + 3_600_000) << 20  # the clock was put back an hour
        await admin.hset(HEAD, "last", to_id(ahead + 2**20 - 3))
        receipts = [await append(backplane, data=str(n)) for n in range(4)]
        assert [receipt.at.offset - ahead for receipt in receipts] == [2**20 - 2, 2**20 - 1, 2**20, 2**20 + 1]


@pytest.mark.parametrize("offset", [0, 1, 2**20 - 1, 2**20, 2**63 - 1])
def test_ids_and_offsets_are_the_same(offset: int) -> None:
    assert to_offset(to_id(offset)) == offset


@pytest.mark.parametrize("id", [b"8796093022208-0", b"1-1048576"])
def test_an_id_that_is_no_offset_is_refused(id: bytes) -> None:
    with pytest.raises(Unavailable):
        to_offset(id)


# A tail that lags


@asynccontextmanager
async def stepwise(server: Server) -> AsyncIterator[tuple[Store, StreamTail, Tail]]:
    """A tail that goes only when it is told to."""
    store = Store(client_of(server.url), "tricast", Retention(), 120.0)
    heard = Tail()
    yield store, StreamTail(store, heard, lambda seen: None), heard
    await store.close()


async def test_a_tail_that_finds_its_place_trimmed_says_where_it_goes_on(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane, stepwise(server) as (_, tail, heard):
        epoch = (await tail.begin()).epoch
        receipts = [await append(backplane, data=str(n)) for n in range(20)]
        await admin.xtrim(LOG, maxlen=5, approximate=False)
        for _ in range(2):
            await tail.step()
        assert heard.starts[1:] == [Cursor(epoch, receipts[14].at.offset)]
        assert heard.offsets == [receipt.at.offset for receipt in receipts[15:]]


async def test_a_tail_that_finds_everything_trimmed_says_so_too(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane, stepwise(server) as (_, tail, heard):
        epoch = (await tail.begin()).epoch
        last = [await append(backplane) for _ in range(5)][-1]
        await admin.xtrim(LOG, maxlen=0, approximate=False)
        for _ in range(2):
            await tail.step()
        assert heard.starts[1:] == [Cursor(epoch, last.at.offset)]


async def test_an_entry_that_was_deleted_is_a_gap_and_nothing_comes_twice(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane, stepwise(server) as (_, tail, heard):
        epoch = (await tail.begin()).epoch
        receipts = [await append(backplane, data=str(n)) for n in range(6)]
        gone = receipts[2].at.offset
        await admin.xdel(LOG, to_id(gone))
        for _ in range(2):
            await tail.step()
        assert heard.starts[1:] == [Cursor(epoch, gone)]
        assert heard.offsets == [receipt.at.offset for receipt in receipts if receipt.at.offset != gone]


async def test_what_was_acknowledged_here_and_does_not_come_is_another_epoch(server: Server) -> None:
    async with opened(server.url) as backplane, stepwise(server) as (store, tail, heard):
        bounds = await tail.begin()
        tail.expect(bounds.epoch, bounds.end + 1)
        await append(backplane)
        for _ in range(2):
            await tail.step()
        assert len({at.epoch for at in heard.starts}) == 2
        assert (await store.state(Seen())).epoch == heard.starts[-1].epoch


async def test_a_log_that_is_older_than_what_the_node_has_seen_is_another_epoch(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane, stepwise(server) as (store, tail, heard):
        await append(backplane)
        bounds = await tail.begin()
        lost = bounds.end + (10_000 << 20)
        for _ in range(3):  # only one of many nodes that find it begins it
            state = await store.state(Seen(bounds.epoch, lost))
            assert state.start > lost
        await tail.step()
        assert heard.records[-1] == EpochStarted(Cursor(state.epoch, state.start))
        assert len(heard.starts) == 2


# What Redis refuses


async def test_out_of_memory_is_told_and_nothing_is_lost(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane:
        tail = Tail()
        await backplane.tail(tail)
        first = await append(backplane)
        await admin.config_set("maxmemory", "1")
        with pytest.raises(Unavailable) as refused:
            await append(backplane, data="2")
        assert refused.value.retry_after is not None
        await admin.config_set("maxmemory", "0")
        async with asyncio.timeout(BACK):
            while True:
                try:
                    second = await append(backplane, data="3")
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)
        await tail.reaches(second.at.offset)
        assert tail.offsets == [first.at.offset, second.at.offset]


async def test_bytes_are_bounded_too(server: Server, admin: Any) -> None:
    async with opened(server.url, retention=Retention(count=100_000, size=2**20)) as backplane:
        await asyncio.gather(*(append(backplane, data=f'"{"x" * 20_000}"') for _ in range(200)))
        async with asyncio.timeout(BACK):
            while await admin.memory_usage(LOG) > 1.2 * 2**20:
                await asyncio.sleep(0.05)
        assert await admin.xlen(LOG) > 20


async def test_age_is_bounded_too(server: Server, admin: Any) -> None:
    async with opened(server.url, retention=Retention(age=1.0)) as backplane:
        await asyncio.gather(*(append(backplane) for _ in range(1000)))
        async with asyncio.timeout(BACK):
            while await admin.xlen(LOG) > 100:
                await asyncio.sleep(0.05)
        bounds = await backplane.bounds()
        assert 0 < bounds.start <= bounds.end


async def test_cancelled_appends_leave_the_others_alone(server: Server) -> None:
    async with opened(server.url) as backplane:
        tail = Tail()
        await backplane.tail(tail)
        tasks = [asyncio.create_task(append(backplane, data=str(n))) for n in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(kept) == 50
        last = await append(backplane)
        await tail.reaches(last.at.offset)
        assert {receipt.at.offset for receipt in kept} <= set(tail.offsets)


async def test_however_many_ask_what_there_is_the_engine_is_asked_a_few_times(server: Server, admin: Any) -> None:
    async with opened(server.url) as backplane:
        receipt = await append(backplane)
        await admin.config_resetstat()
        answers = await asyncio.gather(*(backplane.bounds() for _ in range(3000)))
        assert {answer.end for answer in answers} == {receipt.at.offset}
        calls = sum(stat["calls"] for name, stat in (await admin.info("commandstats")).items() if "eval" in name)
        assert calls < 100  # with the looks of its own
        assert backplane.up


# Addresses


@contextmanager
def program(*command: str | Path) -> Iterator[None]:
    if shutil.which(str(command[0])) is None:
        missing(str(command[0]))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def reachable(client: Any) -> Any:
    async with asyncio.timeout(BACK):
        while True:
            try:
                await client.ping()
                return client
            except Exception:
                await asyncio.sleep(0.02)


def bare(port: int, folder: Path, *more: str) -> Sequence[str]:
    folder.mkdir(exist_ok=True)
    return (
        *("redis-server", "--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""),
        *("--appendonly", "no", *more),
    )


async def test_a_socket_with_a_password_and_a_database(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    with program(*bare(0, tmp_path, "--unixsocket", str(socket), "--requirepass", "se:cret")):
        await eventually(socket.exists)
        async with opened(f"unix://:se%3Acret@{socket}?db=3") as backplane:
            await works(backplane)
        async with opened(f"unix://{socket}") as backplane:
            with pytest.raises(Unavailable) as refused:
                await append(backplane)
            assert refused.value.retry_after is not None


def certify(key: Path, certificate: Path) -> None:
    """For HOST, by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)


@pytest.mark.may_block("TLS reads its certificates when it connects")
async def test_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl")
    key, certificate, port = tmp_path / "key", tmp_path / "certificate", unused_port()
    await asyncio.to_thread(certify, key, certificate)
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with program(*bare(0, tmp_path, *tls, "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no")):
        admin = Redis(host=HOST, port=port, ssl=True, ssl_cert_reqs="none")
        await (await reachable(admin)).aclose()
        async with opened(f"rediss://{HOST}:{port}?ssl_ca_certs={certificate}") as backplane:
            await works(backplane)
        async with opened(f"rediss://{HOST}:{port}") as backplane:  # a certificate that nobody vouches for
            with pytest.raises(Unavailable):
                await append(backplane)


async def test_cluster(tmp_path: Path) -> None:
    port = unused_port()
    bus = ("--cluster-enabled", "yes", "--cluster-port", str(unused_port()))
    with program(*bare(port, tmp_path, *bus)):
        admin = await reachable(Redis(host=HOST, port=port))
        await admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with asyncio.timeout(BACK):
            while b"cluster_state:ok" not in await admin.execute_command("CLUSTER", "INFO"):
                await asyncio.sleep(0.05)
        await admin.aclose()
        async with opened(f"redis+cluster://{HOST}:{port}") as one, opened(f"redis+cluster://{HOST}:{port}") as two:
            await works(one)
            tail = Tail()
            await two.tail(tail)
            assert len(tail.entries) == 20


async def test_sentinel_follows_the_master(tmp_path: Path) -> None:
    first, second, watcher = unused_port(), unused_port(), unused_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"bind {HOST}\nport {watcher}\ndir {tmp_path}\n"
        f"sentinel monitor main {HOST} {first} 1\n"
        "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
    )
    replica = bare(second, tmp_path / "second", "--replicaof", f"{HOST} {first}", "--repl-diskless-sync-delay", "0")
    with ExitStack() as stack:
        stack.enter_context(program(*replica))
        stack.enter_context(program(*bare(first, tmp_path / "first", "--repl-diskless-sync-delay", "0")))
        master = await reachable(Redis(host=HOST, port=first))
        async with asyncio.timeout(BACK):
            while not await master.wait(1, 100):
                await asyncio.sleep(0.05)
        # Only now: a Sentinel looks for replicas when it starts, and then every ten seconds.
        stack.enter_context(program("redis-server", configuration, "--sentinel"))
        sentinel = await reachable(Redis(host=HOST, port=watcher))
        async with asyncio.timeout(BACK):
            while not await sentinel.execute_command("SENTINEL", "REPLICAS", "main"):
                await asyncio.sleep(0.05)
        async with opened(f"redis+sentinel://{HOST}:{watcher}/main") as backplane:
            await works(backplane)
            tail = Tail()
            await backplane.tail(tail)
            await master.wait(1, 1000)
            await master.aclose()
            await failover(sentinel)
            taken = await later(backplane, second)
            await tail.reaches(taken.offset, BACK)
            assert tail.starts[-1].epoch == taken.epoch  # another where the old master had taken more than it gave on
        await sentinel.aclose()


async def failover(sentinel: Any) -> None:
    """Once the Sentinel has heard from the replica that it is fit to be the master."""
    async with asyncio.timeout(BACK):
        while True:
            try:
                await sentinel.execute_command("SENTINEL", "FAILOVER", "main")
                return
            except ResponseError:
                await asyncio.sleep(0.1)


async def later(backplane: Backplane, port: int) -> Cursor:
    """Appends until the server at `port` is the master and has taken one: where that stands."""
    admin: Any = Redis(host=HOST, port=port)
    async with asyncio.timeout(30):
        while True:
            try:
                receipt = await append(backplane)
                if (await admin.role())[0] in (b"master", "master"):
                    entries = await admin.xrevrange(LOG, count=1)
                    if entries and to_offset(entries[0][0]) == receipt.at.offset:
                        await admin.aclose()
                        return receipt.at
            except Unavailable:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "url",
    ["redis", "http://x", "redis+ring://x", "redis+sentinel://host:1", "redis+sentinel://host:x/main", "redis://h:x"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        client_of(url)
