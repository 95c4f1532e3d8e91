"""A publish that takes effect once: retried with its id while that is safe, and an honest answer where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tricast.errors import (
    CommandError,
    ConnectFailed,
    ConnectionLost,
    Forbidden,
    OutcomeUnknown,
    ProtocolError,
    RateLimited,
    TooMany,
    TransportError,
    TricastError,
    Unauthorized,
    Unavailable,
    UplinkBlocked,
)
from tricast.keeper import Keeper
from tricast.transports import Link
from tricast.transports.base import Answer
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Publish, Reply

PAUSE_BASE = 0.1
PAUSE_CAP = 2.0

_MAY_CHANGE = (UplinkBlocked, Unavailable, TooMany, RateLimited, Unauthorized, Forbidden)
"""Errors that say nothing about what an earlier attempt did: the others would have met it too."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An attempt that may have taken effect: when it began, and in which epoch."""

    since: float
    epoch: str | None


class Publication:
    """One publish, from its first attempt to its outcome."""

    def __init__(self, keeper: Keeper, command: Publish) -> None:
        self._keeper = keeper
        self._command = command
        self._now = asyncio.get_running_loop().time
        self._doubt: _Doubt | None = None
        self._last: TricastError | None = None
        self._tried_on: Link | None = None

    async def carry_out(self, timeout: float) -> str:
        """The cursor where it was appended. When cancelled, the outcome is unknown.

        Raises OutcomeUnknown where an attempt may have taken effect and another could do so again, or the time is up;
        else the server's CommandError; else what kept it from being sent for `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._attempts()
        except TimeoutError:
            raise self._outcome(
                self._last or ConnectFailed(f"no transport has worked for {timeout:g} s")
            ) from self._last

    async def _attempts(self) -> str:
        pause = PAUSE_BASE
        while True:
            link = await self._link()
            answer = await self._attempt(link)
            if isinstance(answer, Reply):
                return self._appended(answer)
            await asyncio.sleep(max(pause, _retry_after(answer)))
            pause = min(2 * pause, PAUSE_CAP)

    async def _link(self) -> Link:
        try:
            link = await self._keeper.sending()
        except TricastError as error:
            raise self._outcome(error) from error
        doubt = self._doubt
        if doubt is not None:
            if self._keeper.epoch != doubt.epoch:
                raise self._outcome(ConnectionLost("the log has another epoch now"))
            if self._now() - doubt.since > self._keeper.dedupe_window:
                raise self._outcome(ConnectionLost("the server may have forgotten its id by now"))
        return link

    async def _attempt(self, link: Link) -> Reply | TricastError:
        """The reply, or an error after which to try again. Raises those after which not."""
        before = self._doubt
        # Set while under way, so that a time limit that strikes in the middle leaves the doubt.
        self._doubt = before or _Doubt(self._now(), self._keeper.epoch)
        answer = await self._answer(link)
        self._tried_on = link
        if isinstance(answer, Reply):
            self._doubt = before
            return answer
        self._last = answer
        if not isinstance(answer, ConnectionLost | Unavailable):
            self._doubt = before
            self._stop_at(answer)
        return answer

    async def _answer(self, link: Link) -> Answer | TransportError:
        try:
            # What has failed in a link's stream once may get through beside it.
            return await self._keeper.send(link, self._command, apart=link is self._tried_on)
        except TransportError as error:
            return error

    def _stop_at(self, error: TricastError) -> None:
        """Raises where trying again is no use, or must not be guessed at."""
        if isinstance(error, ConnectFailed | UplinkBlocked):
            return  # another transport may get through; where none does, there will be no link to send on
        if self._doubt is None or not isinstance(error, _MAY_CHANGE):
            raise error
        if not error.retryable:
            raise self._outcome(error) from error

    def _appended(self, reply: Reply) -> str:
        at = Cursor.parse(reply.at) if isinstance(reply.at, str) else None
        if at is None:
            raise ProtocolError("the reply to a publish does not say where it was appended")
        if self._doubt is not None and self._doubt.epoch not in (None, at.epoch):
            raise self._outcome(ConnectionLost(f"it was appended at {at}, in another epoch than tried before"))
        return str(at)

    def _outcome(self, error: TricastError) -> TricastError:
        """The error itself, or OutcomeUnknown where an attempt may have taken effect."""
        if self._doubt is None:
            return error
        return OutcomeUnknown(f"the publish {self._command.id} may or may not have taken effect: {error}")


def _retry_after(answer: TricastError) -> float:
    return answer.retry_after or 0.0 if isinstance(answer, CommandError) else 0.0
