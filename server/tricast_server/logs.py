"""The log: lines for people, or one JSON object each. Never a token, never a query string, and never in the hot path.

That a connection came or went is told at the level debug: by the thousand it would drown what matters, and `/metrics`
counts them. Polls are only counted. Refusals are warnings, one line per reason every few seconds, with a count.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web
from rich.console import Console
from rich.logging import RichHandler

from tricast_server.guard.addresses import address_of

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

REPORT_INTERVAL = 5.0
HIDDEN = "***"
_SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"\?[^\s'\"<>]*=[^\s'\"<>]*", f"?{HIDDEN}"),  # a query string
        (r"\b(token['\"]?\s*[=:]\s*b?['\"]?)[^\s'\"&,}]+", rf"\1{HIDDEN}"),
        (r"\b(bearer[\s.:=]+)[^\s'\",]+", rf"\1{HIDDEN}"),  # RFC 6750, 2.1
        (r"\b(tricast\.token\.)[^\s'\",\]]+", rf"\1{HIDDEN}"),  # as a subprotocol
        (r"(://)[^/\s@'\"]+@", rf"\1{HIDDEN}@"),  # a password in an address
        (r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?", HIDDEN),  # what looks like a JSON Web Token (RFC 7519), wherever it stands
    )
)

log = logging.getLogger("tricast_server.connections")
refused = logging.getLogger("tricast_server.refusals")
_numbers = itertools.count(1)


def configure(format: LogFormat, level: LogLevel, *, worker: str | None = None) -> None:
    """For the whole process, to standard error. `level` is that of our own lines: others' details may hold secrets.
    `worker` is said with each line.
    """
    handler: logging.Handler
    if format == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines(worker))
    else:
        handler = RichHandler(console=Console(stderr=True), show_path=False)
        handler.setFormatter(PlainLines(f"worker {worker}: %(message)s" if worker else "%(message)s"))
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler])
    for own in ("tricast", "tricast_server"):
        logging.getLogger(own).setLevel(number)


def event(logger: logging.Logger, level: int, name: str, **fields: Any) -> None:
    """A line with fields of its own; those that are None are left out."""
    known = {key: value for key, value in fields.items() if value is not None}
    logger.log(level, name, extra={"fields": known})


def redacted(text: str) -> str:
    """Without what looks like a token, a password or a query string."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


class JsonLines(logging.Formatter):
    """`{"ts":"2026-11-22T10:02:05.123Z","level":"info","event":"...","logger":"...",...}` and the record's fields."""

    def __init__(self, worker: str | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **self._worker,
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        clean = {key: redacted(value) if isinstance(value, str) else value for key, value in line.items()}
        return json.dumps(clean, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """The message, then the record's fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        text = super().format(record)
        return redacted(f"{text}  {fields}" if fields else text)


class _WithoutTokens(logging.Filter):
    """aiohttp warns with the list of all subprotocols that a client offers, of which one may be a token, and shows the
    line of a request's head that it cannot read.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(len(arg) if isinstance(arg, list) else arg for arg in record.args)
        if record.exc_info:
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))  # so it is not made again
        return True


_without_tokens = _WithoutTokens()


def keep_tokens_out() -> None:
    """Whatever the application does with its log. Idempotent."""
    for name in ("aiohttp.websocket", "aiohttp.server"):
        logging.getLogger(name).addFilter(_without_tokens)


@dataclass(slots=True)
class Ending:
    """How a connection ended: the close code of a WebSocket, and why."""

    code: int | None = None
    reason: str | None = None


@contextmanager
def connection(request: web.Request, transport: str, topics: Sequence[str]) -> Iterator[Ending]:
    """Tells of a connection that it opened, and of its end what the block has put into the `Ending`."""
    ending = Ending()
    if not log.isEnabledFor(logging.DEBUG):
        yield ending
        return
    who = {"connection": f"{transport}-{next(_numbers)}", "transport": transport, "address": address_of(request)}
    event(log, logging.DEBUG, "connection opened", **who, topics=len(topics))
    began = time.monotonic()
    try:
        yield ending
    finally:
        duration = round(time.monotonic() - began, 3)
        event(
            log,
            logging.DEBUG,
            "connection closed",
            **who,
            topics=len(topics),
            duration=duration,
            code=ending.code,
            reason=ending.reason,
        )


async def report_refusals(refusals: Mapping[str, int]) -> None:
    """Warns of what was counted since the last look, one line per reason. Ends by being cancelled."""
    known: dict[str, int] = {}
    try:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            known = _report(refusals, known)
    finally:
        _report(refusals, known)


def _report(refusals: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    now = dict(refusals)
    for reason, count in now.items():
        new = count - known.get(reason, 0)
        if new:
            event(refused, logging.WARNING, "refused", reason=reason, count=new, seconds=REPORT_INTERVAL)
    return now
