"""How an engine keeps an entry: one head of fixed size, then the fields end to end. Its offset is the engine's to keep.

    version  1 byte
    flags    1 byte     which fields there are, whether data are bytes, whether lengths of texts have 4 bytes or 1
    ts       8 bytes    IEEE 754
    lengths             topic, event, id, sender, subject: 1 or 4 bytes each; data: 4 bytes
    fields              in that order, text as UTF-8

All big-endian. Nodes of two releases share one log, so what another version wrote is refused, never guessed at.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Final

from tricast_server.backplane.base import Publication
from tricast_server.bus.log import Entry

VERSION: Final = 1
_EVENT, _ID, _SENDER, _SUBJECT, _BYTES, _WIDE = (1 << bit for bit in range(6))
_ALL = 2 * _WIDE - 1
_OPTIONAL = (_EVENT, _ID, _SENDER, _SUBJECT)
_NARROW_HEAD = Struct(">BBd5BI")
_WIDE_HEAD = Struct(">BBd5II")


def dump(publication: Publication, ts: float) -> bytes:
    """What `load` reads. `ts` is the wall clock in seconds."""
    flags = 0
    data = publication.data
    if isinstance(data, bytes):
        flags = _BYTES
    else:
        data = data.encode()
    texts = [publication.topic.encode()]
    optional = (publication.event, publication.id, publication.sender, publication.subject)
    for flag, text in zip(_OPTIONAL, optional, strict=True):
        if text is None:
            texts.append(b"")
        else:
            flags |= flag
            texts.append(text.encode())
    lengths = [len(text) for text in texts]
    head = _NARROW_HEAD
    if max(lengths) > 255:
        flags |= _WIDE
        head = _WIDE_HEAD
    return b"".join((head.pack(VERSION, flags, ts, *lengths, len(data)), *texts, data))


def load(data: bytes, offset: int) -> Entry:
    """What was given to `dump`, at its place in the log. Raises ValueError for anything else."""
    if len(data) < _NARROW_HEAD.size:
        raise ValueError("too short for an entry")
    version, flags = data[0], data[1]
    if version != VERSION:
        raise ValueError(f"an entry of version {version}, where this is {VERSION}")
    if flags > _ALL:
        raise ValueError("an entry with unknown flags")
    head = _WIDE_HEAD if flags & _WIDE else _NARROW_HEAD
    if len(data) < head.size:
        raise ValueError("too short for an entry")
    _, _, ts, *lengths = head.unpack_from(data)
    if head.size + sum(lengths) != len(data):
        raise ValueError("an entry that is longer or shorter than it says")
    if not math.isfinite(ts):
        raise ValueError("an entry of no time")
    fields = []
    start = head.size
    for length in lengths:
        fields.append(data[start : start + length])
        start += length
    topic, event, id, sender, subject, payload = fields
    return Entry(
        offset=offset,
        topic=topic.decode(),
        data=payload if flags & _BYTES else payload.decode(),
        ts=ts,
        id=_text(id, flags & _ID),
        event=_text(event, flags & _EVENT),
        sender=_text(sender, flags & _SENDER),
        subject=_text(subject, flags & _SUBJECT),
    )


def _text(field: bytes, there: int) -> str | None:
    if there:
        return field.decode()
    if field:
        raise ValueError("an entry with a field that it says it has not")
    return None
