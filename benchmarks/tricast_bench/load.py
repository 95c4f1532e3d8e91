"""An open load: messages go out when a schedule says, whatever became of those before; and what a message carries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tricast.wire.messages import JsonValue
from tricast_bench.contents import Content, binary, record

Shape = Literal["fixed", "poisson"]
SMALLEST = 64
"""Bytes of the least message: it has to hold its stamp."""
MARK = "|"
"""Once in each message, and nowhere in what is around it; where it carries letters, that is."""
VARIETY = 8
"""Different records, one after the other."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who meant to send a message, as which of its messages, and when: nanoseconds of the monotonic clock.

    That clock is one for all processes of a host and means nothing on another: `sender` begins with the host's mark.
    """

    sender: str
    number: int
    intended: int


def payload(stamp: Stamp, size: int, content: Content = "letters") -> JsonValue | bytes:
    """Of `size` bytes, or as many as the stamp takes: a text of letters, a record in compact JSON, or bytes."""
    text = f"{stamp.sender} {stamp.number} {stamp.intended}{MARK}"
    if content == "text":
        return record(size, stamp.number % VARIETY).sized(size, stamp=text)
    if content == "binary":
        return text.encode() + binary(size)[len(text) :]
    return text.ljust(size, "x")


def stamp_of(data: object) -> Stamp | None:
    """None for what has none."""
    if isinstance(data, dict):
        data = data.get("stamp")
    elif isinstance(data, bytes):
        data = data.partition(MARK.encode())[0].decode("latin-1")
    if not isinstance(data, str):
        return None
    sender, _, rest = data.partition(" ")
    number, _, rest = rest.partition(" ")
    intended = rest.partition(MARK)[0]
    if not (number.isdecimal() and intended.isdecimal()):
        return None
    return Stamp(sender, int(number), int(intended))


def offsets(rate: float, shape: Shape = "fixed", seed: int = 0) -> Iterator[int]:
    """Nanoseconds after the start at which to send, without an end. `rate` is per second, on average if Poisson."""
    if rate <= 0:
        return
    if shape == "fixed":
        number = 0
        while True:
            yield int(number * 1e9 / rate)
            number += 1
    chance = random.Random(seed)
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield int(at * 1e9)
