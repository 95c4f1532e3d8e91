"""The listening sockets of a port, one set for each worker's place, and which worker accepts on which.

They all carry SO_REUSEPORT: the kernel spreads connections over them by a hash. The supervisor makes them and keeps
them open, and the workers inherit them: what waits in a socket's queue survives the worker that did not accept it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from tricast_server.hosting import BACKLOG, CannotListen


def open_ports(host: str, port: int, places: int) -> tuple[list[list[socket.socket]], int]:
    """For each place one socket per address of `host`, all listening; and the port, chosen here where it was 0.

    Raises CannotListen, also where the port is shared by others of this user, which SO_REUSEPORT would allow.
    """
    opened: list[socket.socket] = []
    try:
        addresses = _addresses(host, port)
        chosen = _free(addresses, port)
        ports: list[list[socket.socket]] = []
        for _ in range(places):
            place = [_listening(family, (address[0], chosen, *address[2:]), opened) for family, address in addresses]
            ports.append(place)
    except OSError as error:
        for one in opened:
            one.close()
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}") from error
    return ports, chosen


def shares(ready: Sequence[bool]) -> list[set[int]]:
    """For each place, on which places' sockets its worker accepts: where one is not ready, the next that is does."""
    places = len(ready)
    taken: list[set[int]] = [set() for _ in ready]
    if any(ready):
        for place in range(places):
            heir = next(n % places for n in range(place, place + places) if ready[n % places])
            taken[heir].add(place)
    return taken


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Those that asyncio would listen on."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    known = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return [(family, address) for family, address in known if _is_known(family)]  # type: ignore[misc]


def _is_known(family: socket.AddressFamily) -> bool:
    """A kernel can be without IPv6 where names are not."""
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _free(addresses: Sequence[tuple[socket.AddressFamily, tuple[str, int]]], port: int) -> int:
    """The port, which nobody has: not even somebody who would share it."""
    for family, address in addresses:
        with _bound(family, (address[0], port, *address[2:]), shared=False) as probe:
            port = port or probe.getsockname()[1]
    return port


def _listening(
    family: socket.AddressFamily, address: tuple[str | int, ...], opened: list[socket.socket]
) -> socket.socket:
    one = _bound(family, address, shared=True)
    opened.append(one)
    one.listen(BACKLOG)
    one.setblocking(False)
    return one


def _bound(family: socket.AddressFamily, address: tuple[str | int, ...], *, shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # as asyncio does: IPv4 has a socket of its own
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except BaseException:
        one.close()
        raise
    return one
