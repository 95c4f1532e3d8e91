"""The `tricast` command. The server and the benchmark add their own sub-commands where they are installed."""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.text import Text

import tricast
from tricast.errors import BadRequest, ConnectFailed, TricastError
from tricast.memory import FileStore
from tricast.probe.command import probe
from tricast.screen import err, explained, out, reasons, show, show_json
from tricast.wire import json as wire_json
from tricast.wire.commands import topic_list
from tricast.wire.cursor import Cursor
from tricast.wire.messages import Gap, JsonValue, Message, TransportName

P = ParamSpec("P")
R = TypeVar("R")

EXTENSIONS = ("tricast_server.cli", "tricast_bench.cli")
OPEN_TIMEOUT = 5.0


class Transport(StrEnum):
    auto = "auto"
    ws = "ws"
    sse = "sse"
    poll = "poll"

    @property
    def names(self) -> tuple[TransportName, ...]:
        """Those to try, in order."""
        every: tuple[TransportName, ...] = ("ws", "sse", "poll")
        return tuple(name for name in every if self in (Transport.auto, name))


class Format(StrEnum):
    json = "json"
    protobuf = "protobuf"


Url = Annotated[str, typer.Option("--url", envvar="TRICAST_URL", help="Where the server is.")]
Token = Annotated[str | None, typer.Option("--token", envvar="TRICAST_TOKEN", help="Bearer token, if it wants one.")]
Way = Annotated[Transport, typer.Option("--transport", help="How to connect; auto takes the first that works.")]
Wire = Annotated[
    Format,
    typer.Option("--format", help="How messages travel, not how they are printed: protobuf is shorter for bytes."),
]
URL = "http://127.0.0.1:8080"

app = typer.Typer(
    help="One message bus over WebSocket, Server-Sent Events and long polling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def sub(
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC", help="Topics to listen to.")],
    url: Url = URL,
    token: Token = None,
    transport: Way = Transport.auto,
    wire: Wire = Format.json,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, for scripts; bytes as base64, in data_b64.")
    ] = False,
    last: Annotated[int, typer.Option(min=0, max=1000, help="Begin with the last N messages of each topic.")] = 0,
    cursor: Annotated[
        str | None, typer.Option(help="Go on after this cursor; 'earliest' begins with the oldest kept.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
) -> None:
    """Print what is published, until Ctrl-C. Bytes are shown as their number and the first 64 in hex."""
    if cursor not in (None, "earliest") and Cursor.parse(cursor) is None:
        raise typer.BadParameter(f"{cursor!a} is no cursor; one looks like k3f9-17, or is 'earliest'")
    bus = _connect(url, topics, transports=transport.names, format=wire, token=token, last=last, cursor=cursor)
    _run(_sub(bus, show_json if as_json else show, count), bus, url)


@app.command()
def pub(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Topic to publish to.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="JSON, or else text; - reads it from stdin. With --bytes, a file.")
    ],
    url: Url = URL,
    token: Token = None,
    transport: Way = Transport.auto,
    wire: Wire = Format.json,
    as_bytes: Annotated[
        bool, typer.Option("--bytes", help="DATA is a file, or - for stdin; its bytes are published as they are.")
    ] = False,
    event: Annotated[str | None, typer.Option(help="What kind of message it is.")] = None,
    id: Annotated[
        str | None, typer.Option(help="Names this publish: the same one again takes no second effect.")
    ] = None,
) -> None:
    """Publish one message, and print the cursor where it stands."""
    bus = _connect(url, (), transports=transport.names, format=wire, token=token)
    _check(topic_list, [topic])
    _run(_pub(bus, topic, _bytes(data) if as_bytes else _data(data), event, id), bus, url)


@app.command()
def echo(
    data: Annotated[str, typer.Argument(metavar="DATA", help="JSON, or else text.")] = "hello",
    url: Url = URL,
    token: Token = None,
    transport: Way = Transport.auto,
    wire: Wire = Format.json,
    count: Annotated[int, typer.Option(min=1, help="Round trips per transport.")] = 5,
) -> None:
    """Send data through the bus and back on each transport, and print how long a round trip took."""
    failed = False
    for name in transport.names:
        bus = _connect(url, (), transports=(name,), format=wire, token=token)
        try:
            _run(_echo(bus, name, _data(data), count), bus, url)
        except typer.Exit as end:
            if end.exit_code != 1:
                raise
            failed = True
    if failed:
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(tricast.__version__)


app.command()(probe)


def main() -> None:
    """The entry point."""
    for name in EXTENSIONS:
        _extend(name)
    app()


def _extend(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in (name, name.partition(".")[0]):
            raise
        return
    module.register(app)


def _connect(url: str, topics: Any, **options: Any) -> tricast.Bus:
    return _check(tricast.connect, url, topics, open_timeout=OPEN_TIMEOUT, store=FileStore(), **options)


def _check(call: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """What it returns; what it finds wrong with its arguments is a usage error."""
    try:
        return call(*args, **options)
    except (ValueError, BadRequest) as error:
        raise typer.BadParameter(str(error)) from None


def _run(main: Coroutine[Any, Any, None], bus: tricast.Bus, url: str) -> None:
    """Runs to the end; what goes wrong is said in a sentence, and the exit status is 1."""
    try:
        asyncio.run(main)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except TricastError as error:
        err.print(Text.assemble(("Error: ", "bold red"), explained(error, url, bus)))
        for line in reasons(bus) if isinstance(error, ConnectFailed) else ():
            err.print(Text(line, style="dim"))
        raise typer.Exit(1) from None


async def _sub(bus: tricast.Bus, show: Callable[[Message | Gap], None], count: int | None) -> None:
    async with bus:
        err.print(Text(f"listening to {', '.join(bus.topics)} over {bus.transport}", style="dim"))
        seen = 0
        async for item in bus:
            show(item)
            seen += isinstance(item, Message)
            if seen == count:
                return


async def _pub(bus: tricast.Bus, topic: str, data: JsonValue | bytes, event: str | None, id: str | None) -> None:
    async with bus:
        out.print(Text(await bus.publish(topic, data, event=event, id=id)))


async def _echo(bus: tricast.Bus, name: str, data: JsonValue | bytes, count: int) -> None:
    async with bus:
        times = []
        for _ in range(count):
            start = time.perf_counter()
            await bus.echo(data)
            times.append((time.perf_counter() - start) * 1000)
    spread = f"  ({min(times):.2f} to {max(times):.2f}, {count} times)" if count > 1 else ""
    out.print(Text.assemble((f"{name:4}", "bold"), f" {median(times):8.2f} ms", (spread, "dim")))


def _data(text: str) -> JsonValue | bytes:
    """JSON if it is that; else text; bytes where stdin brings what is no UTF-8."""
    if text == "-":
        raw = sys.stdin.buffer.read()
        try:
            text = raw.decode().removesuffix("\n")
        except UnicodeDecodeError:
            return raw
    try:
        return wire_json.loads(text)
    except BadRequest:
        return text


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"with --bytes, DATA is a file: {error}") from None


if __name__ == "__main__":
    main()
