"""What a client takes, as its headers say (RFC 9110, 12.5)."""

from __future__ import annotations

from functools import lru_cache

from aiohttp import web

KEPT_LENGTH = 512
"""Characters of a header whose meaning is kept: most clients send the same again and again."""
ANYTHING = "*/*"
"""What most libraries say where nobody chose."""
GZIP = ("gzip", "x-gzip")


def prefers(request: web.Request, media_type: str, to: str) -> bool:
    """Whether Accept names the one type with more weight than the other. A wildcard names nothing."""
    return _weight_of(request, media_type) > _weight_of(request, to)


def _weight_of(request: web.Request, media_type: str) -> float:
    """0 where Accept does not name it."""
    return max((_weights(header).get(media_type, 0.0) for header in request.headers.getall("Accept", ())), default=0.0)


def accepts_gzip(request: web.Request) -> bool:
    """Whether Accept-Encoding takes gzip: by its name, else by `*`, and with a weight over 0."""
    weights: dict[str, float] = {}
    for header in request.headers.getall("Accept-Encoding", ()):
        weights.update(_weights(header))
    named = [weights[name] for name in GZIP if name in weights]
    return max(named, default=weights.get("*", 0.0)) > 0


def _weights(header: str) -> dict[str, float]:
    return (_parsed if len(header) <= KEPT_LENGTH else _parsed.__wrapped__)(header)


@lru_cache(256)
def _parsed(header: str) -> dict[str, float]:
    """Each name, in lower case, with its weight: 1 where it has none, 0 where that is not to be read."""
    weights = {}
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            weights[name] = _weight(parameters)
    return weights


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
