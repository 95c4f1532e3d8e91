"""The stream of one bus in Redis: calls with a deadline each, and ids as offsets."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import NoScriptError, RedisError, ResponseError

from tricast.errors import Unavailable
from tricast.wire import json
from tricast_server.backplane.base import Bounds, Publication
from tricast_server.backplane.memory import new_epoch
from tricast_server.backplane.redis_client import Client, close
from tricast_server.backplane.redis_scripts import APPEND, STATE, Script
from tricast_server.backplane.stored import dump
from tricast_server.bus.log import Retention

log = logging.getLogger(__name__)

SEQUENCE_BITS: Final = 20
MS_LIMIT: Final = 2**43
"""The year 2248."""
COMMAND_TIMEOUT: Final = 2.0
STRANGE: Final = -1
READ_COUNT: Final = 200
"""Records that are read at once: decoding them blocks the event loop for some milliseconds."""


class Refused(Unavailable):
    """The engine answered, but not with what was asked: it is out of memory, a replica, or asks for a password."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication, ready to be sent. `key` is None where it has no id."""

    key: bytes | None
    digest: bytes
    data: bytes

    @classmethod
    def of(cls, publication: Publication, ts: float) -> Draft:
        data = dump(publication, ts)
        if publication.id is None:
            return cls(None, b"", data)
        key = hashlib.blake2b(json.dumps(list(publication.key)).encode(), digest_size=16).hexdigest().encode()
        return cls(key, publication.digest(), data)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a draft stands in the log. `offset` is None for a conflict."""

    offset: int | None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of the stream: an `entry`, or the name of an `epoch` that begins with it.

    `prev` is STRANGE where somebody else wrote it.
    """

    offset: int
    prev: int
    epoch: str | None
    entry: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node knows of the log; nothing at first."""

    epoch: str = ""
    offset: int = 0


class Store:
    """Raises Unavailable where Redis does not answer in time, Refused where it answers with an error."""

    def __init__(self, client: Client, name: str, retention: Retention, dedupe_window: float) -> None:
        self._client = client
        self._log = f"{{{name}}}:log".encode()
        self._head = f"{{{name}}}:head".encode()
        self._id = f"{{{name}}}:id:".encode()
        self._window = max(1, round(dedupe_window * 1000))
        self._limits = (retention.count, round(retention.age * 1000), retention.size)

    async def append(self, seen: Seen, drafts: Sequence[Draft]) -> tuple[str, list[Outcome]]:
        """All in one step, in this order: the epoch they are in, and an outcome for each."""
        keys = [self._id + draft.key for draft in drafts if draft.key is not None]
        values: list[bytes | int] = [self._window]
        for draft in drafts:
            values += (draft.digest, draft.data)
        epoch, *replies = await self._run(APPEND, seen, keys, values)
        return epoch.decode(), [_outcome(reply) for reply in replies]

    async def state(self, seen: Seen, *, broken: bool = False, trim: bool = False) -> Bounds:
        """What there is to read. `broken`: what was read of this epoch shows a loss, so there has to be another."""
        values: list[bytes | int] = [int(broken), *(self._limits if trim else ())]
        epoch, floor, last = await self._run(STATE, seen, [], values)
        return Bounds(epoch.decode(), to_offset(floor), to_offset(last))

    async def read(self, after: int, wait: float) -> list[Stored]:
        """Records after an offset; none where none came within `wait` seconds."""
        block = ("BLOCK", round(wait * 1000)) if wait else ()
        reply = await self._call(
            COMMAND_TIMEOUT + wait, "XREAD", "COUNT", READ_COUNT, *block, "STREAMS", self._log, to_id(after)
        )
        return [_stored(id, fields) for id, fields in reply[0][1]] if reply else []

    async def close(self) -> None:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await close(self._client)
        except (RedisError, OSError):
            log.debug("a connection to redis did not close", exc_info=True)

    async def _run(self, script: Script, seen: Seen, keys: list[bytes], values: list[bytes | int]) -> Any:
        arguments = (2 + len(keys), self._log, self._head, *keys, seen.epoch, to_id(seen.offset), new_epoch(), *values)
        try:
            return await self._call(COMMAND_TIMEOUT, "EVALSHA", script.sha, *arguments)
        except NoScriptError:  # it has been started since, so nothing was done
            return await self._call(COMMAND_TIMEOUT, "EVAL", script.text, *arguments)

    async def _call(self, timeout: float, *command: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        try:
            async with asyncio.timeout(timeout):
                return await self._client.execute_command(*command)
        except NoScriptError:
            raise
        except ResponseError as error:
            raise Refused(f"redis refuses: {error}", retry_after=1.0) from error
        except (RedisError, OSError) as error:  # asyncio's TimeoutError is an OSError
            raise Unavailable(f"redis does not answer: {error or 'time is up'}", retry_after=1.0) from error
        finally:
            if task.cancelling() > cancellations:  # which redis-py's client for Cluster may have swallowed
                raise asyncio.CancelledError


def _outcome(reply: bytes) -> Outcome:
    if reply == b"c":
        return Outcome(None)
    if reply[:1] == b"=":
        return Outcome(to_offset(reply[1:]), duplicate=True)
    return Outcome(to_offset(reply))


def _stored(id: bytes, fields: Sequence[bytes]) -> Stored:
    match fields:
        case [b"prev", prev, b"entry", entry]:
            return Stored(to_offset(id), to_offset(prev), None, entry)
        case [b"prev", prev, b"epoch", epoch]:
            return Stored(to_offset(id), to_offset(prev), epoch.decode(), b"")
        case _:
            return Stored(to_offset(id), STRANGE, None, b"")


def to_offset(id: bytes) -> int:
    """Raises Refused for an id that no offset can stand for."""
    ms, _, seq = id.partition(b"-")
    high, low = int(ms), int(seq)
    if high >= MS_LIMIT or low >> SEQUENCE_BITS:
        raise Refused(f"the id {id.decode()} in redis is past what an offset holds", retry_after=1.0)
    return high << SEQUENCE_BITS | low


def to_id(offset: int) -> bytes:
    return b"%d-%d" % (offset >> SEQUENCE_BITS, offset & ((1 << SEQUENCE_BITS) - 1))
