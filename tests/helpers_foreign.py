"""Other people's clients behind one face: each is opened on a server with a query, and gives the frames it is given.

Python's run in the test's own process; those of Node are the scripts in tests/foreign, which print a frame per line.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias, cast

import httpx
import requests
from httpx_sse import aconnect_sse
from tests.helpers import ROOT, Server, missing
from tests.helpers_clients import Frame
from websockets.asyncio.client import connect

SCRIPTS = ROOT / "tests/foreign"
TIMEOUT = 20.0
LINE_LIMIT = 2**22


class ForeignClient(ABC):
    @abstractmethod
    async def next(self) -> Frame:
        """The next frame, whatever its type."""

    async def messages(self, n: int) -> list[Frame]:
        """The next `n` messages; no gap may stand between them."""
        messages: list[Frame] = []
        async with asyncio.timeout(TIMEOUT):
            while len(messages) < n:
                frame = await self.next()
                assert frame["type"] != "gap", frame
                if frame["type"] == "message":
                    messages.append(frame)
        return messages


Opener: TypeAlias = Callable[[Server, str], AbstractAsyncContextManager[ForeignClient]]


class Lines(ForeignClient):
    """Over a generator of texts, one frame each."""

    def __init__(self, texts: AsyncIterator[str]) -> None:
        self._texts = texts

    async def next(self) -> Frame:
        return cast(Frame, json.loads(await anext(self._texts)))


@asynccontextmanager
async def websockets_client(server: Server, query: str) -> AsyncIterator[ForeignClient]:
    """PyPI's `websockets`, with its defaults but for the size of a message."""
    async with connect(f"ws://{server.authority}/ws?{query}", proxy=None, max_size=None) as connection:
        yield Lines(cast(AsyncIterator[str], aiter(connection)))


@asynccontextmanager
async def httpx_sse_client(server: Server, query: str) -> AsyncIterator[ForeignClient]:
    """PyPI's `httpx-sse`."""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        async with aconnect_sse(client, "GET", f"{server.url}/sse?{query}") as source:
            yield Lines(event.data async for event in source.aiter_sse() if event.data)


class RequestsPoll(ForeignClient):
    """Long poll over PyPI's `requests`, in a thread."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self._session = session
        self._url = url
        self._cursor: str | None = None
        self._frames: deque[Frame] = deque()

    async def next(self) -> Frame:
        while not self._frames:
            answer = await asyncio.to_thread(self._poll)
            self._cursor = answer["cursor"]
            self._frames.extend(frame for frame in (answer.get("hello"), *answer["messages"]) if frame)
        return self._frames.popleft()

    def _poll(self) -> Frame:
        response = self._session.get(self._url, params={"cursor": self._cursor, "wait": "1"}, timeout=10)
        response.raise_for_status()
        return cast(Frame, response.json())


@asynccontextmanager
async def requests_client(server: Server, query: str) -> AsyncIterator[ForeignClient]:
    with requests.Session() as session:
        session.trust_env = False
        yield RequestsPoll(session, f"{server.url}/poll?{query}")


def node_client(package: str, *arguments: str) -> Opener:
    """The npm package that the script of its name uses."""

    @asynccontextmanager
    async def open_client(server: Server, query: str) -> AsyncIterator[ForeignClient]:
        node = shutil.which("node") or missing("node")
        if not (SCRIPTS / "node_modules" / package).is_dir():
            missing(f"the npm package {package}, which `make tools` installs")
        process = await asyncio.create_subprocess_exec(
            node,
            str(SCRIPTS / f"{package}.mjs"),
            *arguments,
            server.url,
            query,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
        )
        assert process.stdout is not None
        try:
            yield Lines(line.decode() async for line in process.stdout)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return open_client


CLIENTS: dict[str, Opener] = {
    "websockets": websockets_client,
    "httpx-sse": httpx_sse_client,
    "requests": requests_client,
    "ws": node_client("ws"),
    "eventsource": node_client("eventsource"),
    "undici WebSocket": node_client("undici", "ws"),
    "undici EventSource": node_client("undici", "sse"),
    "undici fetch": node_client("undici", "poll"),
}
EVENT_SOURCES = ("eventsource", "undici EventSource")
