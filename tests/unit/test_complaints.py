"""What a client says of a transport that it gave up: the truth, once, and not of one that works."""

from __future__ import annotations

from typing import get_args

from tricast.complaints import Complaints, Reason
from tricast_server.tally import FALLBACKS


def test_client_and_server_have_the_same_words() -> None:
    assert get_args(Reason) == FALLBACKS


def test_it_is_told_once_when_another_transport_is_opened() -> None:
    complaints = Complaints()
    complaints.about_end("ws", greeted=False, stalled=False)
    assert complaints.tell("ws", ()) is None
    assert complaints.tell("sse", ()) == "ws:refused"
    assert complaints.tell("poll", ()) is None


def test_how_a_link_ended() -> None:
    for greeted, stalled, reason in ((False, True, "refused"), (True, False, "cut"), (True, True, "stalled")):
        complaints = Complaints()
        complaints.about_end("ws", greeted=greeted, stalled=stalled)
        assert complaints.tell("sse", ()) == f"ws:{reason}"


def test_what_is_still_waited_for_is_slow() -> None:
    complaints = Complaints()
    assert complaints.tell("ws", ()) is None
    assert complaints.tell("sse", ["ws"]) == "ws:slow"
    assert complaints.tell("poll", ["ws", "sse"]) == "sse:slow"


def test_what_was_told_is_not_told_again_until_it_has_worked() -> None:
    complaints = Complaints()
    assert complaints.tell("sse", ["ws"]) == "ws:slow"
    complaints.about("ws", "mute")
    assert complaints.tell("poll", ()) is None
    complaints.take_back("ws")
    complaints.about("ws", "mute")
    assert complaints.tell("poll", ()) == "ws:mute"


def test_it_is_taken_back_where_the_transport_works_after_all() -> None:
    complaints = Complaints()
    complaints.about("ws", "mute")
    complaints.take_back("sse")
    complaints.take_back("ws")
    assert complaints.tell("sse", ()) is None


def test_nobody_is_accused_where_nothing_can_be_reached() -> None:
    complaints = Complaints()
    complaints.about_end("ws", greeted=True, stalled=True)
    complaints.clear()
    assert complaints.tell("sse", ()) is None
