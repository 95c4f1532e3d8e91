"""The formats that a client may speak. Each is a module of the same functions; protobuf is imported when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from tricast.wire import json
from tricast.wire.messages import Batch, Command, Frame

FormatName: TypeAlias = Literal["json", "protobuf"]
NAMES: tuple[FormatName, ...] = ("json", "protobuf")


class Codec(Protocol):
    """From frames and commands to the wire, and back. Decoding raises ProtocolError, encoding BadRequest.

    A payload is a text where the transport carries texts, and the command is sent as what it is: a text or bytes.
    """

    @property
    def NAME(self) -> FormatName: ...

    @property
    def CONTENT_TYPE(self) -> str:
        """Of `encode_commands`."""

    def decode(self, payload: str | bytes, /) -> Frame | None: ...

    def decode_batch(self, body: bytes, /) -> Batch: ...

    def decode_answers(self, body: bytes, /) -> list[Frame | None]: ...

    def encode(self, value: Command, /) -> str | bytes: ...

    def encode_commands(self, commands: Sequence[Command], /) -> bytes: ...


def codec_named(name: FormatName) -> Codec:
    """Raises ValueError."""
    if name == "json":
        return json
    if name == "protobuf":
        from tricast.wire import protobuf

        return protobuf
    raise ValueError(f"format is one of {', '.join(NAMES)}")
