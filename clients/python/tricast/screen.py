"""What the `tricast` command shows of messages, and of what went wrong."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from tricast.client import Bus
from tricast.errors import (
    BusClosed,
    CommandError,
    ConnectFailed,
    Forbidden,
    OutcomeUnknown,
    TricastError,
    Unauthorized,
)
from tricast.wire import json as wire_json
from tricast.wire.messages import Gap, JsonValue, Message

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


def show_json(item: Message | Gap) -> None:
    """One line for a script."""
    # In ASCII: what others publish must not reach a terminal as control characters.
    print(json.dumps(wire_json.to_members(item), separators=(",", ":")), flush=True)


def show(item: Message | Gap) -> None:
    """One line for a reader; a gap on stderr."""
    if isinstance(item, Gap):
        may = "" if item.exact else "may "
        lost = f"{may}have lost messages of {', '.join(item.topics)} up to {item.cursor}: {item.reason}"
        err.print(Text(lost, style="yellow"))
        return
    event = f" {_printable(item.event)}" if item.event is not None else ""
    head = (f"{item.topic}", "bold cyan"), (f"{event} {item.cursor}", "dim")
    out.print(Text.assemble(*head, f"  {_printable(item.data)}"))


def _printable(data: JsonValue | bytes) -> str:
    """Strings as they are where they are one harmless line; all else as JSON in ASCII."""
    if isinstance(data, bytes):
        return f"({len(data)} bytes) {data[:64].hex(' ')}{' ...' if len(data) > 64 else ''}"
    if isinstance(data, str) and data.isprintable():
        return data
    text = json.dumps(data, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(data)


def explained(error: TricastError, url: str, bus: Bus) -> str:
    """What is wrong, and what may help, in a sentence or two."""
    match error:
        case ConnectFailed() if any(record.what == "online" for record in bus.timeline):
            tried = ", ".join(sorted({record.transport for record in bus.timeline if record.transport}))
            return f"the server at {url} answers, but not over {tried}. `tricast probe {url}` says what is in the way."
        case ConnectFailed():
            return f"nothing works at {url}. Is a server running there (`tricast serve`), and is --url right?"
        case Unauthorized():
            return f"the server wants a token ({error}). Give one with --token or TRICAST_TOKEN."
        case Forbidden():
            return f"the server does not allow this: {error}. Another --token, or its settings, may."
        case OutcomeUnknown():
            return f"{error}. The same command with that --id can be repeated safely while the server remembers it."
        case BusClosed():
            return "the connection was closed."
        case CommandError():
            return f"the server refused: {error} ({error.code})."
    return f"{error} ({error.code})."


def reasons(bus: Bus) -> list[str]:
    """Why each transport failed the last time it was tried."""
    last = {record.transport: record.detail for record in bus.timeline if record.what in ("failed", "lost")}
    return [f"  {name or 'all':4} {detail}" for name, detail in last.items()]
