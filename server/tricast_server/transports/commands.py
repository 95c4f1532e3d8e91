"""One dispatcher for the commands of all transports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from tricast.errors import BadRequest, CommandError, Forbidden, TooLarge
from tricast.wire import json
from tricast.wire.commands import command_of, ref_of
from tricast.wire.messages import (
    NO_DATA,
    Command,
    Echo,
    Error,
    JsonValue,
    Ping,
    Publish,
    Refresh,
    Reply,
    Subscribe,
    Unsubscribe,
)
from tricast_server.backplane.base import Publication, Receipt
from tricast_server.guard.authorise import Access, Grant, allow_all, without_inboxes
from tricast_server.service import Service


class Stream(Protocol):
    """What only a two-way connection can do."""

    @property
    def topics(self) -> tuple[str, ...]: ...

    async def subscribe(self, topics: tuple[str, ...], ref: str | None) -> Reply: ...

    async def unsubscribe(self, topics: tuple[str, ...], ref: str | None) -> Reply: ...

    def renew(self, grant: Grant) -> None:
        """From now on the connection is open by this grant."""

    def ping_later(self, ping: Ping) -> None:
        """Answers `ping` after its delay. Raises TooMany."""


@dataclass(slots=True, kw_only=True)
class Caller:
    """Who sends commands, and over what. `topic` is where short forms publish to."""

    service: Service
    request: web.Request
    client: str
    subject: str | None
    token: str | None = field(repr=False)
    topic: str
    stream: Stream | None = None

    async def run(self, value: JsonValue) -> Reply | Error | None:
        """Carries out one command; what is wrong with it is the answer. None: it is answered later."""
        try:
            return await self._perform(command_of(value))
        except CommandError as error:
            if error.reason is not None:
                self.service.refused(error)
            return error_frame(error, ref_of(value))

    async def publish(self, command: Publish) -> Receipt:
        """Raises CommandError."""
        try:
            return await self._publish(command)
        except CommandError as error:
            self.service.tally.failed(error)
            raise

    async def enter(self) -> None:
        """Whether they may come at all, before their commands are read. Raises CommandError."""
        if self.service.authorise is not allow_all:
            await self._may_publish(())

    async def _may_publish(self, topics: tuple[str, ...]) -> None:
        access = Access(
            what="publish", topics=without_inboxes(topics), client=self.client, token=self.token, request=self.request
        )
        self.subject = (await self.service.admit(access)).subject

    async def _publish(self, command: Publish) -> Receipt:
        topic = command.topic or self.topic
        await self._may_publish((topic,))
        self.service.limits.publish(self.request, self.subject)
        publication = Publication(
            topic=topic,
            data=payload_of(command.data, self.service.settings.max_message),
            event=command.event,
            id=command.id,
            sender=self.client,
            subject=self.subject,
        )
        receipt = await self.service.bus.publish(publication)
        self.service.tally.published("http" if self.stream is None else "ws", publication.data, receipt)
        return receipt

    async def _perform(self, command: Command) -> Reply | None:
        match command:
            case Publish():
                receipt = await self.publish(command)
                return Reply(action="publish", ref=command.ref, at=str(receipt.at), duplicate=receipt.duplicate)
            case Echo():
                return await self._echo(command)
            case Ping(delay=0):
                return Reply(action="ping", ref=command.ref)
            case Refresh():
                return await self._refresh(command, self.stream.topics if self.stream is not None else ())
        if self.stream is None:
            raise BadRequest("this needs a WebSocket; on the other transports connect again with other topics")
        match command:
            case Ping():
                self.stream.ping_later(command)
                return None
            case Subscribe():
                return await self.stream.subscribe(command.topics, command.ref)
            case Unsubscribe():
                return await self.stream.unsubscribe(command.topics, command.ref)

    async def _echo(self, command: Echo) -> Reply:
        if command.reply_to is None:
            if command.data is not NO_DATA:
                payload_of(command.data, self.service.settings.max_message)
            return Reply(action="echo", ref=command.ref, data=command.data)
        data = None if command.data is NO_DATA else command.data
        receipt = await self.publish(Publish(topic=command.reply_to, data=data, event="echo"))
        return Reply(action="echo", ref=command.ref, at=str(receipt.at))

    async def _refresh(self, command: Refresh, topics: tuple[str, ...]) -> Reply:
        access = Access(
            what="subscribe",
            topics=without_inboxes(topics),
            client=self.client,
            token=command.token,
            request=self.request,
        )
        grant = await self.service.admit(access)
        if self.stream is not None:
            if grant.subject != self.subject:
                raise Forbidden("a refresh cannot make this connection somebody else's")
            self.stream.renew(grant)
        self.token = command.token
        return Reply(action="refresh", ref=command.ref)


def payload_of(data: JsonValue | bytes, most: int) -> str | bytes:
    """Data as the log keeps it. Raises BadRequest, TooLarge."""
    if isinstance(data, bytes):
        payload: str | bytes = data
        size = (len(data) + 2) // 3 * 4  # as base64, the form it has in JSON
    else:
        payload = json.dumps(data)
        size = len(payload) if payload.isascii() else len(payload.encode())
    if size > most:
        raise TooLarge(f"data of {size} bytes is over the limit of {most}")
    return payload


def error_frame(error: CommandError, ref: str | None = None) -> Error:
    return Error(code=error.code, message=error.message, ref=ref, retry_after=error.retry_after)
