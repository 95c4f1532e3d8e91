"""How engines keep entries: what was dumped is what is loaded, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast_server.backplane.base import Publication
from tricast_server.backplane.stored import VERSION, dump, load
from tricast_server.bus.log import Entry

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
publications = st.builds(
    Publication,
    topic=texts,
    data=texts | st.binary(max_size=400),
    event=st.none() | texts,
    id=st.none() | texts,
    sender=st.none() | texts,
    subject=st.none() | texts,
)
times = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(1, 2**63 - 1)


def said(item: Publication | Entry) -> tuple[object, ...]:
    return (item.topic, item.data, item.event, item.id, item.sender, item.subject)


@given(publications, times, offsets)
def test_what_was_dumped_is_loaded(publication: Publication, ts: float, offset: int) -> None:
    entry = load(dump(publication, ts), offset)
    assert said(entry) == said(publication)
    assert type(entry.data) is type(publication.data)
    assert (entry.ts, entry.offset) == (ts, offset)


@given(publications, times, st.data())
def test_a_part_of_it_or_more_than_it_is_refused(publication: Publication, ts: float, data: st.DataObject) -> None:
    whole = dump(publication, ts)
    with pytest.raises(ValueError):
        load(whole[: data.draw(st.integers(0, len(whole) - 1))], 1)
    with pytest.raises(ValueError):
        load(whole + data.draw(st.binary(min_size=1)), 1)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: bytes((VERSION,)) + rest))
def test_garbage_is_refused_or_is_an_entry(garbage: bytes) -> None:
    try:
        entry = load(garbage, 1)
    except ValueError:
        return
    assert isinstance(entry, Entry)


@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_another_version_is_refused(version: int) -> None:
    whole = dump(Publication(topic="a", data="1"), 1.0)
    with pytest.raises(ValueError, match=f"version {version}"):
        load(bytes((version,)) + whole[1:], 1)


def test_the_form_is_fixed() -> None:
    """Nodes of two releases share one log: what this wrote once is read for ever."""
    publication = Publication(topic="a.b", data='{"k":1}', event="e", id="i-1", sender="me", subject="anna")
    form = bytes.fromhex("010f41d954fc400000000301030204") + bytes.fromhex("00000007") + b'a.bei-1meanna{"k":1}'
    assert dump(publication, 1700000000.0) == form
    assert said(load(form, 7)) == said(publication)


def test_it_is_small() -> None:
    assert len(dump(Publication(topic="a", data="1"), 1.0)) == 19 + 2
