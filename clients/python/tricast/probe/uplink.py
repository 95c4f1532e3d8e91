"""Whether `POST /send` arrives: an echo to an inbox of our own, read back by a poll."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp

from tricast.errors import BadRequest, ProtocolError
from tricast.probe.measure import UNREACHABLE, answered_by, body_of, printable, session, why
from tricast.probe.observation import Uplink, Verdict
from tricast.transports import Target
from tricast.wire import json
from tricast.wire.cursor import INBOX_PREFIX
from tricast.wire.messages import Batch, Error, Message


async def check_uplink(target: Target, timeout: float) -> Uplink:
    """Returns within `timeout` seconds and a moment for closing. Never raises; cancelling is safe."""
    # 128 random bits: whoever knows its name can read an inbox.
    inbox, proof = INBOX_PREFIX + secrets.token_urlsafe(16), secrets.token_hex(8)
    async with session(target) as http:
        # Reading back is a help, not the question: the POST gets most of the time.
        cursor = await _cursor(http, target, inbox, timeout / 4)
        start = asyncio.get_running_loop().time()
        outcome = await _post(http, target, {"action": "echo", "data": proof, "reply_to": inbox}, timeout / 2)
        if outcome is not None:
            return outcome
        trip = asyncio.get_running_loop().time() - start
        back = None if cursor is None else await _came_back(http, target, inbox, cursor, proof, timeout / 4)
        if back is False:
            return _blocked("POST /send is answered, but what it sent did not come back.")
        detail = "what is sent by POST comes back." if back else "POST /send is answered; no poll could read it back."
        return Uplink(verdict=Verdict.clean, detail=detail, round_trip=trip)


async def _post(http: aiohttp.ClientSession, target: Target, command: Any, timeout: float) -> Uplink | None:
    """What went wrong, None if nothing did."""
    try:
        async with asyncio.timeout(timeout):
            url = target.url / "send"
            async with http.post(url, json=command, allow_redirects=False) as response:
                body = await body_of(response)
    except UNREACHABLE as error:
        return Uplink(verdict=Verdict.unreachable, detail=f"no connection could be made: {why(error)}.")
    except aiohttp.ClientResponseError as error:  # a proxy that refused CONNECT
        return _refused(error.status, error.headers or {})
    except TimeoutError:
        return _blocked(f"POST /send was not answered within {timeout:.1f} s.")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _blocked(f"POST /send was closed without an answer ({why(error)}).")
    frame = _frame(body)
    if isinstance(frame, Error):
        detail = f"the server refuses POST /send: {printable(frame.message)} ({printable(frame.code)})."
        return Uplink(verdict=Verdict.refused, detail=detail, status=response.status, own_word=True)
    if response.status != 200 or frame is None:
        return _refused(response.status, response.headers)
    return None


def _refused(status: int, headers: Mapping[str, str]) -> Uplink:
    by = answered_by(headers)
    by = f" (the answer says: {by})" if by else ""
    return _blocked(f"POST /send was refused with HTTP status {status}{by}.", status)


def _blocked(detail: str, status: int | None = None) -> Uplink:
    return Uplink(verdict=Verdict.uplink_blocked, detail=detail, status=status)


async def _cursor(http: aiohttp.ClientSession, target: Target, inbox: str, timeout: float) -> str | None:
    """Where the inbox stands now; None where no poll passes."""
    batch = await _poll(http, target, {"topics": inbox}, timeout)
    return None if batch is None else batch.cursor


async def _came_back(
    http: aiohttp.ClientSession, target: Target, inbox: str, cursor: str, proof: str, timeout: float
) -> bool | None:
    """None where the poll itself failed, which says nothing of the POST."""
    wait = timeout / 2
    batch = await _poll(http, target, {"topics": inbox, "cursor": cursor, "wait": f"{wait:g}"}, timeout)
    return None if batch is None else any(isinstance(item, Message) and item.data == proof for item in batch.frames)


async def _poll(http: aiohttp.ClientSession, target: Target, query: dict[str, str], timeout: float) -> Batch | None:
    url = (target.url / "poll").with_query({**query, "n": secrets.token_hex(4)})
    try:
        async with asyncio.timeout(timeout), http.get(url, allow_redirects=False) as response:
            frame = _frame(await body_of(response))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None
    return frame if isinstance(frame, Batch) else None


def _frame(body: bytes) -> Any:
    try:
        return json.decode_batch(body) if b'"messages"' in body else json.decode(body)
    except (BadRequest, ProtocolError):
        return None
