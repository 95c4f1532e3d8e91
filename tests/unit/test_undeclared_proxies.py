"""A proxy that nobody declared is told of: what is wrong then depends on where it is."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request

from tricast_server import Settings
from tricast_server.guard.limits import TELL_AGAIN, Limits

HERE, ELSEWHERE = "127.0.0.1", "10.0.0.5"


def comes(limits: Limits, peer: str, header: str = "X-Forwarded-For") -> None:
    transport = Mock()
    transport.get_extra_info.side_effect = lambda name, default=None: (peer, 1) if name == "peername" else default
    limits.connect(make_mocked_request("GET", "/poll", {header: "203.0.113.7"}, transport=transport))


def test_once_for_each_kind_and_again_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limits = Limits(Settings(max_connections_per_address=1), clock=lambda: now)
    for _ in range(3):
        for peer in (HERE, ELSEWHERE, "10.0.0.6"):
            comes(limits, peer)
    here, elsewhere = (record.getMessage() for record in caplog.records)
    assert here.startswith(HERE)
    assert "no limit per address holds" in here
    assert elsewhere.startswith(ELSEWHERE)
    assert "count as one address" in elsewhere
    now = TELL_AGAIN
    comes(limits, ELSEWHERE, "Forwarded")
    assert len(caplog.records) == 3
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_not_of_one_that_is_trusted_nor_where_nothing_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    comes(Limits(Settings(max_connections_per_address=1, trusted_proxies=("10.0.0.0/8",))), ELSEWHERE)
    comes(Limits(Settings()), ELSEWHERE)
    assert not caplog.records
