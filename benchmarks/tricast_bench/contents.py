"""What messages carry, in kinds that compress as real ones do: a record in JSON, or bytes that do not compress at all.

All of it comes from a seed, so every run has the same.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

Content = Literal["letters", "text", "binary"]
"""A row of one letter, which says nothing about compression; a record; random bytes."""
CONTENTS: tuple[Content, ...] = get_args(Content)
READINGS = 0.5
"""Share of a record that is readings, a list of objects; the rest is a note of words."""
KINDS = ("temperature", "humidity", "pressure", "voltage")
SITES = ("north hall", "south hall", "cold store", "roof", "loading bay")
VOCABULARY = (
    "the a of to and in is it on that was for with as be at by this had not are but from or have an they which one you "
    "were all her she there would their we him been has when who will no more if out so up said what its about than "
    "into them can only other time new some could these two may first then do any like my now over such our man even "
    "most made after also did many off before must well back through years much where your way down should because "
    "long each just state people too mr good how make still see work life us here between both under last never day "
    "same another know while might great go come since against right came take used himself house use place during "
    "without again home around small however found door light water room check valve filter replaced noticed alarm"
)


@dataclass(frozen=True, slots=True)
class Record:
    """`members` without its note, as `length` bytes of compact JSON with an empty one; and words to fill it with."""

    members: dict[str, Any]
    length: int
    words: str

    def sized(self, size: int, **more: str) -> dict[str, Any]:
        """Of `size` bytes as compact JSON, or a few more where that is too little; `more`, of plain letters, first."""
        taken = self.length + sum(len(name) + len(text) + len('"":"",') for name, text in more.items())
        return {**more, **self.members, "note": self.words[: max(0, size - taken)]}


def text(size: int, seed: int = 0) -> str:
    """A record as compact JSON of `size` ASCII characters."""
    return dumps(record(size, seed).sized(size))


@cache
def record(size: int, seed: int = 0) -> Record:
    """For a text of about this size."""
    chance = random.Random(f"record {size} {seed}")
    members: dict[str, Any] = {
        "device": f"sensor-{chance.randrange(1000)}",
        "ok": chance.random() < 0.9,
    }
    if size > 256:
        members |= {"site": chance.choice(SITES), "readings": _readings(chance, int(READINGS * size))}
    length = len(dumps({**members, "note": ""}))
    known, words, filled = VOCABULARY.split(), list[str](), 0
    while filled < size:
        words.append(chance.choice(known))
        filled += len(words[-1]) + 1
    return Record(members, length, " ".join(words))


def _readings(chance: random.Random, size: int) -> list[dict[str, Any]]:
    readings: list[dict[str, Any]] = []
    at, taken = 1_795_295_808.0, 0
    while taken < size:
        at += chance.uniform(0.5, 2.0)
        value = round(chance.gauss(20.0, 5.0), 2)
        readings.append({"at": round(at, 3), "kind": chance.choice(KINDS), "value": value})
        taken += len(dumps(readings[-1])) + 1
    return readings


@cache
def binary(size: int, seed: int = 0) -> bytes:
    """Random bytes: pictures, sound and what is compressed or encrypted already look like this."""
    return random.Random(f"bytes {size} {seed}").randbytes(size)


def dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
