"""The cases that clients in all languages share: tests/vectors/*.json. Each file says in `about` what it means."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tricast.errors import CommandError, ProtocolError
from tricast.session import Session, Stream
from tricast.wire import json as wire
from tricast.wire import sse
from tricast.wire.commands import command_of
from tricast.wire.messages import Batch, Command, Frame, Gap, Message

VECTORS = Path(__file__).resolve().parents[1] / "vectors"

Case = dict[str, Any]


def cases(file: str, group: str = "cases") -> Callable[[Callable[..., None]], Callable[..., None]]:
    found: list[Case] = json.loads((VECTORS / file).read_text())[group]
    names = [case["name"] for case in found]
    assert len(set(names)) == len(names), "two cases of one name"
    return pytest.mark.parametrize("case", found, ids=names)


def members(value: Frame | Command | None) -> dict[str, Any] | None:
    """As a client in another language would write it; numbers that are equal are the same."""
    return None if value is None else wire.to_members(value)


@cases("frames.json")
def test_frame(case: Case) -> None:
    if "error" in case:
        with pytest.raises(ProtocolError) as caught:
            wire.decode(case["text"])
        assert caught.value.code == case["error"]
    elif "ignored" in case:
        assert wire.decode(case["text"]) is None
    else:
        frame = wire.decode(case["text"])
        assert members(frame) == case["frame"]
        assert frame is not None
        assert wire.decode(wire.encode(frame)) == frame


@cases("frames.json", "batches")
def test_batch(case: Case) -> None:
    if "error" in case:
        with pytest.raises(ProtocolError) as caught:
            wire.decode_batch(case["text"])
        assert caught.value.code == case["error"]
        return
    batch = wire.decode_batch(case["text"])
    assert batch.cursor == case["cursor"]
    assert [members(frame) for frame in batch.frames] == case["frames"]
    assert members(batch.hello) == case.get("hello")
    assert members(batch.bye) == case.get("bye")


@cases("commands.json")
def test_command(case: Case) -> None:
    if "error" in case:
        with pytest.raises(CommandError) as caught:
            command_of(case["value"])
        assert caught.value.code == case["error"]
        return
    command = command_of(case["value"])
    assert members(command) == case["command"]
    assert command_of(wire.loads(wire.encode(command))) == command


@cases("sse.json")
def test_event_stream(case: Case) -> None:
    chunks = [base64.b64decode(case["base64"])] if "base64" in case else [c.encode() for c in case["chunks"]]
    whole = b"".join(chunks)
    assert parsed(chunks) == case["events"]
    assert parsed([whole]) == case["events"]
    assert parsed([whole[i : i + 1] for i in range(len(whole))]) == case["events"]


def parsed(chunks: list[bytes]) -> list[dict[str, Any]]:
    parser = sse.Parser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [{"event": e.event, "data": e.data, "id": e.id, "retry": e.retry} for e in events]


@cases("session.json")
def test_session(case: Case) -> None:
    session = Session(case["topics"], case.get("cursor"), case.get("last", 0))
    links: dict[str, Stream] = {}
    for step in case["steps"]:
        take_step(session, links, step)
    if "counts" in case:
        counts = session.counts
        assert {name: getattr(counts, name) for name in case["counts"]} == case["counts"]


def take_step(session: Session, links: dict[str, Stream], step: Case) -> None:
    match step:
        case {"open": name, "ask": ask}:
            stream = links[name] = session.open()
            assert stream.request.query() == ask
        case {"subscribe": topics}:
            session.subscribe(topics)
        case {"unsubscribe": topics}:
            session.unsubscribe(topics)
        case {"frame": frame, "link": name, "error": code, "cursor": cursor}:
            with pytest.raises(ProtocolError) as caught:
                links[name].receive(frame_of(frame))
            assert caught.value.code == code
            assert text(session) == cursor
        case {"frame": frame, "link": name, "deliver": delivered, "cursor": cursor}:
            assert [shown(item) for item in links[name].receive(frame_of(frame))] == delivered
            assert text(session) == cursor
        case _:
            pytest.fail(f"what is this step? {step}")


def frame_of(frame: Case) -> Frame | Batch:
    if "messages" in frame:
        return wire.decode_batch(json.dumps(frame))
    decoded = wire.decode(json.dumps(frame))
    assert decoded is not None
    return decoded


def shown(item: Message | Gap) -> str:
    return item.cursor if isinstance(item, Message) else f"gap {item.cursor}"


def text(session: Session) -> str | None:
    return None if session.cursor is None else str(session.cursor)
