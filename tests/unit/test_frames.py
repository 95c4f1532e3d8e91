"""WebSocket frames that a client must not send, however they are cut into reads."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tricast_server.guard.frames import StrictFrames

MASK = b"\x11\x22\x33\x44"
TEXT, CLOSE, PING = 1, 8, 9


class Recorder:
    """Stands for aiohttp's reader."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        self.data += b"<eof>"


def frame(payload: bytes, opcode: int = TEXT, *, masked: bool = True) -> bytes:
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | size)
    elif size < 2**16:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def close(code: int) -> bytes:
    return frame(code.to_bytes(2, "big") + b"why", CLOSE)


SIZES = st.sampled_from([0, 1, 125, 126, 127, 1000, 2**16 - 1, 2**16, 70_000])
GOOD = st.one_of(
    SIZES.map(lambda size: frame(b"x" * size)),
    st.just(frame(b"p", PING)),
    st.sampled_from([1000, 1001, 1005, 4000]).map(close),
    st.just(frame(b"", CLOSE)),
)
CUTS = st.lists(st.sampled_from([1, 2, 3, 7, 9, 100, 65_536, 10**6]), min_size=1)


def fed(data: bytes, sizes: list[int]) -> bytes:
    recorder = Recorder()
    strict, at, number = StrictFrames(recorder), 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)] if number < 50 else 10**6
        strict.feed_data(data[at : at + size])
        at, number = at + size, number + 1
    return recorder.data


@given(st.lists(GOOD, max_size=4), CUTS)
def test_good_ones_pass_unchanged(frames: list[bytes], cuts: list[int]) -> None:
    assert fed(b"".join(frames), cuts) == b"".join(frames)


@given(st.lists(GOOD, max_size=3), SIZES, CUTS)
def test_one_without_a_mask_is_not_passed_on(frames: list[bytes], size: int, cuts: list[int]) -> None:
    before = b"".join(frames)
    passed = fed(before + frame(b"x" * size, masked=False), cuts)
    assert passed.startswith(before)
    assert passed[len(before)] == 0x70  # reserved bits: aiohttp closes with 1002


@given(st.lists(GOOD, max_size=3), CUTS)
def test_nor_is_a_close_code_that_is_never_sent(frames: list[bytes], cuts: list[int]) -> None:
    before = b"".join(frames)
    assert fed(before + close(1006), cuts)[len(before)] == 0x70


@given(st.lists(GOOD, max_size=3), st.sampled_from([0x40, 0x20, 0x10]), CUTS)
def test_nor_is_a_control_frame_with_reserved_bits(frames: list[bytes], bit: int, cuts: list[int]) -> None:
    before = b"".join(frames)
    assert fed(before + frame(b"p", PING | bit), cuts)[len(before)] == 0x70


def test_the_end_is_passed_on() -> None:
    recorder = Recorder()
    StrictFrames(recorder).feed_eof()
    assert recorder.data == b"<eof>"
