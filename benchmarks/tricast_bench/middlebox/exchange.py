"""One request and what becomes of it: its kind, its state, and what may answer it in place of the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tricast_bench.middlebox.faults import Faults, Kind
from tricast_bench.middlebox.http import Request, Response, answer

KIND_BY_NAME: dict[str, Kind] = {"ws": "ws", "sse": "sse", "poll": "poll", "send": "send"}


@dataclass(eq=False, slots=True, kw_only=True)
class Exchange:
    """One request and its response, or what an upgrade makes of them."""

    kind: Kind
    method: str
    started: float
    active: float  # when a byte of it was last read
    answer: bytes | None = None  # what stands in for the server's response
    eaten: bool = False  # there will be no response
    begun: bool = False  # its response is on the way
    complete: bool = False  # its response has been read to its end
    unbuffered: bool = False  # its response asks not to be held
    upgraded: float | None = None
    tunnelled: int = 0  # bytes since the upgrade, both ways
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    bell: asyncio.Event = field(default_factory=asyncio.Event)  # rung when the time of its cut may be another

    def begin(self, response: Response) -> None:
        """Takes note of the final response's head."""
        self.begun = True
        self.unbuffered = "no" in response.tokens("x-accel-buffering")
        self.answered.set()

    def upgrade(self, now: float) -> None:
        self.begun = True
        self.upgraded = now
        self.answered.set()
        self.bell.set()


def kind_of(request: Request) -> Kind:
    """By what it asks for and by the end of its path, so that /canary/sse is an SSE."""
    if request.opens_websocket:
        return "ws"
    if request.method == "POST":
        return "send"
    return KIND_BY_NAME.get(request.name, "other")


def local_answer(request: Request, faults: Faults) -> bytes | None:
    """What answers in place of the server, if these faults have that."""
    if request.method == "CONNECT":
        return answer(501)
    if request.opens_websocket and faults.refuse_upgrade is not None:
        return answer(faults.refuse_upgrade)
    if request.method == "POST" and faults.refuse_post is not None:
        return answer(faults.refuse_post)
    return None
