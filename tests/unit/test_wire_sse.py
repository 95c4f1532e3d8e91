"""Event streams beyond the shared vectors: cut anywhere, built and parsed again, bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tricast.wire.sse import Event, Parser, build

# Mostly what means something to a parser, so that the interesting neighbours meet often.
pieces = st.sampled_from(
    ["data", "event", "id", "retry", ":", " ", "\r", "\n", "\r\n", "\n\n", "\r\r", "a", "1", "é", "😀", "\ufeff", "\0"]
)
streams = st.lists(pieces, max_size=40).map(lambda found: "".join(found).encode()) | st.binary(max_size=60)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def parsed(*chunks: bytes) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(streams, st.data())
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", None)
def test_where_it_is_cut_changes_nothing(stream: bytes, data: st.DataObject | None) -> None:
    whole = parsed(stream)
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        edges = [0, *cuts, len(stream)]
        assert parsed(*(stream[a:b] for a, b in pairwise(edges))) == whole


@given(any_text, names, names, st.none() | st.integers(0, 10**6))
def test_what_is_built_is_parsed(data: str, event: str, id: str, retry: int | None) -> None:
    (event_,) = parsed(build(data, event=event, id=id, retry=retry).encode())
    lines = data.replace("\r\n", "\n").replace("\r", "\n")
    assert event_ == Event(lines, event.removeprefix("\ufeff") or "message", id, retry)


def test_a_built_event() -> None:
    assert build("a\nb", id="e-1") == "id: e-1\ndata: a\ndata: b\n\n"
    assert build("", id="e-1", event="hello", retry=5) == "event: hello\nretry: 5\nid: e-1\ndata: \n\n"


def test_without_data_only_the_id_moves() -> None:
    parser = Parser()
    assert parser.feed(build(None, id="e-7").encode()) == []
    assert parser.last_id == "e-7"


def test_events_come_as_soon_as_they_are_whole() -> None:
    parser = Parser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b\n") == [Event("a")]
    assert parser.feed(b"\n") == [Event("b")]


@pytest.mark.parametrize(
    "chunks",
    [[b"data: " + b"x" * 200], [b"data: xxxxxxxxx\n"] * 20, [b"x" * 30] * 10],
    ids=["one line", "many lines", "no line end"],
)
def test_an_event_has_a_limit(chunks: list[bytes]) -> None:
    parser = Parser(limit=100)
    with pytest.raises(ValueError):
        for chunk in chunks:
            parser.feed(chunk)


def test_many_events_under_the_limit_have_none() -> None:
    parser = Parser(limit=100)
    for _ in range(50):
        assert len(parser.feed(b"data: 0123456789\n\n")) == 1
