"""How the report says numbers, transports and cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tricast_bench.results import Parameter, Transport
from tricast_bench.stats import Estimate

NAMES: Mapping[Transport, str] = {"ws": "WebSocket", "sse": "SSE", "poll": "long polling", "mixed": "all three"}
"""In a sentence."""
HEADINGS: Mapping[Transport, str] = {
    "ws": "WebSocket",
    "sse": "Server-Sent Events",
    "poll": "Long polling",
    "mixed": "All three at once",
}


def number(value: float, decimals: int | None = None) -> str:
    """Three digits, and fewer for whole numbers from ten on; or as many decimals as are asked for."""
    if decimals is None:
        decimals = 0 if value == int(value) and abs(value) >= 10 else digits(value)
    return f"{value or 0.0:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def digits(value: float) -> int:
    """Decimals that make it three digits."""
    return min(4, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0


def interval(of: Estimate, scale: float = 1.0) -> str:
    """Low–high, with no more decimals than the median or the ends need."""
    low, high = (_end(end * scale, of.value * scale) for end in (of.low, of.high))
    return f"{low}–{high}"


def _end(value: float, middle: float) -> str:
    return number(value, min(digits(value), digits(middle)) if value and middle else digits(value or middle))


def listed(parts: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def count(many: int, one: str, more: str | None = None) -> str:
    """`1 run`, `2 runs`."""
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def case_in_words(parameters: Mapping[str, Parameter], *, rate: bool = True) -> str:
    """What a run was, from its parameters."""
    said = []
    for name, form in (
        ("subscribers", "{} clients"),
        ("more", "then {}"),
        ("rate", "{}/s"),
        ("size", "{} B"),
        ("slow", "{} of them slow"),
        ("delay_ms", "+{} ms each way"),
    ):
        value = parameters.get(name)
        if isinstance(value, int | float) and value and (rate or name != "rate"):
            said.append(form.format(f"{value:,g}" if value < 1e6 else f"{value:,.0f}"))
    said += [str(parameters[name]) for name in ("content", "format") if parameters.get(name)]
    if "compress" in parameters:
        said.append("compressed" if parameters["compress"] else "plain")
    if parameters.get("own_topics"):
        said.append("there and back")
    said += [str(parameters[name]) for name in ("shape", "through", "network") if parameters.get(name)]
    return ", ".join(said)
