"""Whose address counts: nothing that a client writes itself may decide it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricast_server.guard.addresses import FORWARDED, UNIX, Addresses, limit_key

PROXY, CLIENT = "10.0.0.1", "203.0.113.7"
TRUSTED = ("10.0.0.0/8", "fd00::/8")
GARBAGE = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40) | st.text(
    '",;=\\ for[]:.0123456789_', max_size=40
)
ADDRESSES = st.ip_addresses(v=4, network="203.0.113.0/24") | st.ip_addresses(v=6, network="2001:db8::/32")


def x_forwarded_for(*lines: str, peer: str = PROXY, trusted: tuple[str, ...] = TRUSTED) -> str:
    return Addresses(trusted).named(peer, lines) or peer


def forwarded(*lines: str, peer: str = PROXY, trusted: tuple[str, ...] = TRUSTED) -> str:
    return Addresses(trusted, FORWARDED).named(peer, lines) or peer


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ((), PROXY),
        (("",), PROXY),
        ((CLIENT,), CLIENT),
        ((f"6.6.6.6, {CLIENT}",), CLIENT),
        ((f"6.6.6.6 , {CLIENT} ,10.1.1.1,\t10.2.2.2",), CLIENT),
        (("6.6.6.6", CLIENT, "10.1.1.1"), CLIENT),
        (("10.3.3.3, 10.2.2.2",), "10.3.3.3"),
        ((f"{CLIENT}:4711",), CLIENT),
        (("2001:db8::7",), "2001:db8::7"),
        (("[2001:db8::7]",), "2001:db8::7"),
        (("[2001:db8::7]:4711",), "2001:db8::7"),
        (("6.6.6.6, fd00::1, ::ffff:10.9.9.9",), "6.6.6.6"),
        (("2001:db8:0:0::7%eth0",), "2001:db8::7"),
        ((f"{CLIENT}, unknown",), PROXY),
        ((f"{CLIENT}, nonsense, 10.1.1.1",), "10.1.1.1"),
        ((f"{CLIENT},,",), CLIENT),
    ],
)
def test_x_forwarded_for_is_read_from_its_end(lines: tuple[str, ...], counts: str) -> None:
    assert x_forwarded_for(*lines) == counts


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ((), PROXY),
        ((f"for={CLIENT}",), CLIENT),
        ((f"For={CLIENT};proto=https;by=10.0.0.1",), CLIENT),
        ((f'proto=http; FOR="{CLIENT}:4711" ;host="a, for=6.6.6.6"',), CLIENT),
        ((f'for={CLIENT};host="a;for=6.6.6.6"',), CLIENT),
        ((f'for={CLIENT};host="a\\", for=6.6.6.6;x=\\""',), CLIENT),
        (('for="[2001:db8::7]:4711"',), "2001:db8::7"),
        (('for="[2001:db8::7]"',), "2001:db8::7"),
        ((f"for=6.6.6.6, for={CLIENT}, for=10.1.1.1",), CLIENT),
        (("for=6.6.6.6", f"for={CLIENT}", 'for="10.1.1.1:80"'), CLIENT),
        ((f"for={CLIENT}, for=unknown",), PROXY),
        ((f"for={CLIENT}, for=_gazonk",), PROXY),
        ((f'for={CLIENT}, for="_gazonk:_port", for=10.1.1.1',), "10.1.1.1"),
        ((f"for={CLIENT}, proto=https",), PROXY),
        ((f'for="6.6.6.6, for={CLIENT}',), CLIENT),
        (('for="x", for="[2001:db8::7]"',), "2001:db8::7"),
        (('for=", for="[2001:db8::7]"',), "2001:db8::7"),
        (('x="\\", for="[2001:db8::7]"',), "2001:db8::7"),
        (("for=[2001:db8::7", f"for={CLIENT} junk"), PROXY),
    ],
)
def test_forwarded_is_read_from_its_end(lines: tuple[str, ...], counts: str) -> None:
    """RFC 7239, with what clients may write before what proxies append."""
    assert forwarded(*lines) == counts


@given(GARBAGE, ADDRESSES)
def test_nothing_that_a_client_sends_changes_what_a_proxy_appends(sent: str, address: object) -> None:
    assert x_forwarded_for(f"{sent}, {address}") == str(address)
    assert x_forwarded_for(sent, str(address)) == str(address)
    assert x_forwarded_for(f"{sent}, {address}, 10.1.1.1") == str(address)
    node = f'"[{address}]"' if ":" in str(address) else str(address)
    assert forwarded(f"{sent}, for={node}") == str(address)
    assert forwarded(f'{sent}, for={node};host="a, b", for=10.1.1.1;by="[fd00::1]"') == str(address)
    assert forwarded(sent, f"for={node}") == str(address)


@given(GARBAGE)
def test_who_is_no_proxy_counts_by_its_own_address(sent: str) -> None:
    assert x_forwarded_for(sent, peer=CLIENT) == CLIENT
    assert forwarded(sent, peer=CLIENT) == CLIENT
    assert x_forwarded_for(sent, trusted=()) == PROXY


def test_the_other_end_of_a_unix_socket() -> None:
    assert x_forwarded_for(CLIENT, peer=UNIX) == UNIX
    assert x_forwarded_for(f"{CLIENT}, 10.1.1.1", peer=UNIX, trusted=(UNIX, "10.0.0.0/8")) == CLIENT
    assert x_forwarded_for(UNIX, CLIENT, peer=UNIX, trusted=(UNIX,)) == CLIENT


def test_what_is_no_network_is_refused() -> None:
    for name in ("nonsense", "10.0.0.0/33", "", "example.com"):
        with pytest.raises(ValueError, match="is no network"):
            Addresses((name,))
    assert x_forwarded_for(CLIENT, peer="10.0.0.1", trusted=("10.0.0.5/24",)) == CLIENT


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        (UNIX, None),
    ],
)
def test_what_an_address_is_counted_as(address: str, key: str | None) -> None:
    assert limit_key(address) == key
