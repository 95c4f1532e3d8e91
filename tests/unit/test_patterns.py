"""Topic patterns, against a slower description of the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast_server.guard.patterns import Patterns

SEGMENTS = st.sampled_from(["a", "b", "a-b", "_x:1"])
TOPICS = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda front, last: ".".join([*front, last]),
    st.lists(SEGMENTS | st.just("*"), max_size=3),
    SEGMENTS | st.sampled_from(["*", "**"]),
)


def described(pattern: str) -> str:
    spelled = {"*": r"[^.]+", "**": r".+"}
    return r"\.".join(spelled.get(segment, re.escape(segment)) for segment in pattern.split("."))


@given(st.lists(PATTERNS, max_size=4), TOPICS)
def test_any_of_them_allows(patterns: list[str], topic: str) -> None:
    expected = any(re.fullmatch(described(pattern), topic) for pattern in patterns)
    assert Patterns(patterns).allows(topic) is expected


@pytest.mark.parametrize(
    ("pattern", "allowed", "others"),
    [
        ("chat", ["chat"], ["chat.a", "cha", "chats", "Chat"]),
        ("chat.*", ["chat.a"], ["chat", "chat.a.b", "chats.a"]),
        ("*.a", ["chat.a"], ["a", "chat.b.a"]),
        ("chat.**", ["chat.a", "chat.a.b"], ["chat", "chats.a"]),
        ("*", ["chat"], ["chat.a"]),
        ("**", ["chat", "chat.a.b"], []),
    ],
)
def test_what_each_is_for(pattern: str, allowed: list[str], others: list[str]) -> None:
    patterns = Patterns([pattern])
    assert [topic for topic in [*allowed, *others] if patterns.allows(topic)] == allowed


@pytest.mark.parametrize(
    "pattern", ["", ".", "a.", ".a", "a..b", "a*", "***", "**.a", "a.**.b", "a b", "é", "a\n", "a/b", "x" * 129]
)
def test_what_is_none(pattern: str) -> None:
    with pytest.raises(ValueError, match="no topic pattern"):
        Patterns([pattern])
