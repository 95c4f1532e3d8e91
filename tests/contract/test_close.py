"""Nothing follows a close frame (RFC 6455, 5.5.1), whoever has begun to close, while messages are flowing."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
from tests.helpers import HOST, Node, running
from tests.helpers_raw import CLOSE, client_frame, upgrade_head

BREAKS = {
    "a reserved bit": (b"\xf1\x80" + bytes(4), 1002),
    "bad UTF-8": (client_frame(b"\xff\xfe"), 1007),
    "a frame that is too large": (struct.pack("!BBQ", 0x81, 0xFF, 2**40) + bytes(4), 1009),
    "a peer that closes": (client_frame(struct.pack("!H", 1000), CLOSE), 1000),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_the_close_frame_is_the_last(name: str) -> None:
    sent, code = BREAKS[name]
    async with running() as node:
        reader, writer = await asyncio.open_connection(HOST, node.port)
        writer.write(upgrade_head(node, "/ws?topics=flow"))
        flowing = asyncio.create_task(flow(node))
        try:
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
                for _ in range(20):
                    await frame(reader)
                writer.write(sent)
                frames = [item async for item in rest(reader)]
        finally:
            flowing.cancel()
            writer.close()
    assert [opcode for opcode, _ in frames].count(CLOSE) == 1
    opcode, payload = frames[-1]
    assert opcode == CLOSE
    assert struct.unpack("!H", payload[:2]) == (code,)


async def flow(node: Node) -> None:
    while True:
        await node.service.publish("flow", "x" * 100)
        await asyncio.sleep(0)


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload. Raises IncompleteReadError at the end."""
    first, size = await reader.readexactly(2)
    assert not size & 0x80, "servers do not mask"
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(size)


async def rest(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            yield await frame(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
