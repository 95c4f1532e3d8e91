"""The stream that keeps the log, the name of its life, and how a node finds out that another life has begun.

The epoch stands in the stream's metadata and in its one subject, `<stream>.<epoch>`. A publish to the subject of a life
that is over is therefore taken by nobody: an acknowledgement is always one of the epoch it was meant for.

A stream that lost its end gives old sequence numbers to new messages, and nothing in it says so. So each node
remembers the last message that it saw, and looks for it whenever it comes back. Where that is not there, the node gives
the stream a new epoch. If two do so at once, the later one stands, and the other finds out with its next publish.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nats.js import api
from nats.js.errors import BadRequestError, NotFoundError

from tricast.errors import Unavailable
from tricast_server.backplane.base import Publication
from tricast_server.backplane.memory import new_epoch
from tricast_server.backplane.nats_link import Link
from tricast_server.bus.log import Retention

log = logging.getLogger(__name__)

EPOCH = "tricast-epoch"
START = "tricast-start"
SLACK = 500
"""Messages kept beyond what is asked for. The engine is exact: it would let go of a burst before nodes have read it."""
_NAME_IN_USE = 10058
_NOT_IN_NAMES = frozenset(">*. /\\\t\r\n")


@dataclass(frozen=True, slots=True)
class Life:
    """What the engine says of the stream. The epoch's messages are those of `subject` after `start`, up to `end`."""

    epoch: str
    subject: str
    start: int
    end: int
    created: datetime | None

    @classmethod
    def of(cls, info: api.StreamInfo) -> Life | None:
        """None where the stream has no epoch of ours."""
        subjects, metadata = info.config.subjects or [], info.config.metadata or {}
        epoch, start = metadata.get(EPOCH, ""), metadata.get(START, "")
        if subjects != [f"{info.config.name}.{epoch}"] or not epoch.isalnum() or not start.isdecimal():
            return None
        state = info.state
        return cls(epoch, subjects[0], max(int(start), state.first_seq - 1, 0), state.last_seq, info.created)


class Stream:
    """The stream's name and limits, and the requests about it. All raise Unavailable and what nats-py raises."""

    def __init__(self, name: str, retention: Retention, dedupe_window: float, replicas: int) -> None:
        if not name or not _NOT_IN_NAMES.isdisjoint(name):
            raise ValueError(f"not a name for a stream: {name!r}")
        self.name = name
        self._replicas = replicas
        self._limits: dict[str, Any] = {
            "max_msgs": retention.count + SLACK,
            "max_bytes": retention.size,
            "max_age": retention.age,
            "duplicate_window": min(dedupe_window, retention.age),  # the engine allows no more
        }

    async def look(self, link: Link) -> Life | None:
        return Life.of(await link.ask(lambda js: js.stream_info(self.name)))

    async def payload(self, link: Link, sequence: int) -> bytes | None:
        """Of the message there, if it is kept."""
        try:
            message: api.RawStreamMsg = await link.ask(lambda js: js.get_msg(self.name, sequence))
        except NotFoundError:
            return None
        return message.data or b""

    async def open(self, link: Link) -> Life:
        """The life of the stream; of a new one where there is none. Another's stream is left alone."""
        try:
            info: api.StreamInfo = await link.ask(lambda js: js.stream_info(self.name))
        except NotFoundError:
            info = await self._create(link)
        life = Life.of(info)
        if life is None and info.state.last_seq and EPOCH not in (info.config.metadata or {}):
            raise Unavailable(f"the stream {self.name} is somebody else's")
        return life or await self.renew(link)

    async def fit(self, link: Link) -> None:
        """Gives the stream this node's limits: the node that started last has its way."""
        info: api.StreamInfo = await link.ask(lambda js: js.stream_info(self.name))
        config = info.config
        if all(math.isclose(getattr(config, name) or 0, value) for name, value in self._limits.items()):
            return
        await link.ask(lambda js: js.update_stream(config.evolve(**self._limits)))
        log.info("stream %s has new limits: %s", self.name, self._limits)

    async def renew(self, link: Link) -> Life:
        """A new epoch: it begins at the stream's end. What is kept belongs to none."""
        info: api.StreamInfo = await link.ask(lambda js: js.stream_info(self.name))
        config = info.config.evolve(**self._named(new_epoch(), info.state.last_seq, info.config.metadata))
        life = Life.of(await link.ask(lambda js: js.update_stream(config)))
        assert life is not None
        return life

    async def _create(self, link: Link) -> api.StreamInfo:
        config = api.StreamConfig(
            name=self.name, storage=api.StorageType.FILE, num_replicas=self._replicas, **self._limits
        ).evolve(**self._named(new_epoch(), 0, None))
        try:
            info: api.StreamInfo = await link.ask(lambda js: js.add_stream(config))
        except BadRequestError as error:
            if error.err_code != _NAME_IN_USE:
                raise
            info = await link.ask(lambda js: js.stream_info(self.name))  # another node was quicker
        return info

    def _named(self, epoch: str, start: int, metadata: dict[str, str] | None) -> dict[str, Any]:
        return {
            "subjects": [f"{self.name}.{epoch}"],
            "metadata": {**(metadata or {}), EPOCH: epoch, START: str(start)},
        }


@dataclass(slots=True)
class Witness:
    """What this node has seen of the log: the last message of the epoch, and the epochs that it has left."""

    life: Life | None = None
    seen: int = 0
    payload: bytes = b""
    left: set[str] = field(default_factory=set)

    def saw(self, sequence: int, payload: bytes) -> None:
        if sequence > self.seen:
            self.seen, self.payload = sequence, payload

    async def verified(self, stream: Stream, link: Link) -> Life:
        """The life that the stream is in now: a new one where it has lost what this node has seen."""
        life = await stream.open(link)
        if self.life is None:
            await stream.fit(link)
        elif not await self._continues(life, stream, link):
            log.warning("the engine has lost a part of the log: a new epoch begins")
            life = await stream.renew(link)
        if self.life is None or life.epoch != self.life.epoch:
            if self.life is not None:
                self.left.add(self.life.epoch)
            self.seen, self.payload = life.start, b""
        self.life = life
        return life

    async def _continues(self, life: Life, stream: Stream, link: Link) -> bool:
        assert self.life is not None
        if life.epoch != self.life.epoch:
            return life.epoch not in self.left
        if life.end < self.seen:
            return False
        if not self.payload:
            return True
        payload = await stream.payload(link, self.seen)
        if payload is None:  # let go, or all of it is another's by now
            return life.created == self.life.created
        return payload == self.payload


def message_id(epoch: str, publication: Publication) -> str:
    """What the engine dedupes by, which it does over all subjects."""
    return hashlib.blake2b(repr((epoch, *publication.key)).encode(), digest_size=16).hexdigest()
