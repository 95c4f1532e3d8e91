"""From a JSON value to a command, with the reason where it is none. Both short forms of the contract are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from tricast.errors import BadRequest, ProtocolError, UnknownAction
from tricast.wire import json
from tricast.wire.cursor import is_inbox, is_name, is_topic
from tricast.wire.messages import (
    NO_DATA,
    Command,
    Echo,
    JsonValue,
    Ping,
    Publish,
    Refresh,
    Subscribe,
    Unsubscribe,
)

PING_DELAY_MAX = 30.0
EVENT_MAX = 256
REF_MAX = 256
COMMANDS_MAX = 100
"""Of one `POST /send`."""
TOPICS_MAX = 1000
"""Names in one list: no server may be set to take more."""


def is_command(value: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    """Whether this is meant as a command: an object with `action` or `event`. Else the text format publishes it."""
    return isinstance(value, dict) and ("action" in value or "event" in value)


def ref_of(value: JsonValue) -> str | None:
    """The `ref` to answer with, also for a command that is wrong in everything else."""
    ref = value.get("ref") if isinstance(value, dict) else None
    return ref if isinstance(ref, str) and len(ref) <= REF_MAX and _is_unicode(ref) else None


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogates (RFC 7493, 2.1)."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def command_of(value: JsonValue) -> Command:
    """The command that a JSON value spells. Raises BadRequest or UnknownAction."""
    if not isinstance(value, dict):
        raise BadRequest("a command is an object")
    action = value.get("action")
    if action is None and "event" in value:
        return _publish({"data": value.get("payload"), **{k: value[k] for k in value if k != "data"}})
    if not isinstance(action, str):
        raise BadRequest('a command has an "action"')
    make = _ACTIONS.get(action.lower())
    if make is None:
        raise UnknownAction(f"no such action: {action[:64]!a}")
    return make(value)


def topic_list(names: JsonValue) -> tuple[str, ...]:
    """Topic names, each once, in the order given. Raises BadRequest."""
    if not isinstance(names, list | tuple) or not names:
        raise BadRequest("topics is a list of names, not empty")
    if len(names) > TOPICS_MAX:  # before each is looked at
        raise BadRequest(f"too many topics: {TOPICS_MAX} at most")
    for name in names:
        if not isinstance(name, str) or not is_topic(name):
            raise BadRequest(f"no topic's name: {str(name)[:64]!a}")
    return tuple(dict.fromkeys(names))


def _publish(value: dict[str, JsonValue]) -> Publish:
    topic, event, id_ = value.get("topic"), value.get("event"), value.get("id")
    if topic is not None:
        topic = topic_list([topic])[0]
    if event is not None and not (isinstance(event, str) and len(event) <= EVENT_MAX and _is_unicode(event)):
        raise BadRequest(f"event is a text of {EVENT_MAX} characters at most")
    if id_ is not None and (not isinstance(id_, str) or not is_name(id_)):
        raise BadRequest("id is 1 to 64 characters of A-Za-z0-9_-")
    data = _data(value)
    if data is NO_DATA:
        raise BadRequest("publish needs data")
    return Publish(topic=topic, event=event, id=id_, data=data, ref=ref_of(value))


def _echo(value: dict[str, JsonValue]) -> Echo:
    reply_to = value.get("reply_to")
    if reply_to is not None and not (isinstance(reply_to, str) and is_topic(reply_to) and is_inbox(reply_to)):
        raise BadRequest("reply_to is an _inbox topic")
    return Echo(data=_data(value), reply_to=reply_to, ref=ref_of(value))


def _ping(value: dict[str, JsonValue]) -> Ping:
    delay = value.get("delay", 0)
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= PING_DELAY_MAX:
        raise BadRequest(f"delay is 0 to {PING_DELAY_MAX:.0f} seconds")
    return Ping(delay=float(delay), ref=ref_of(value))


def _subscribe(value: dict[str, JsonValue]) -> Subscribe:
    return Subscribe(topics=topic_list(value.get("topics")), ref=ref_of(value))


def _unsubscribe(value: dict[str, JsonValue]) -> Unsubscribe:
    return Unsubscribe(topics=topic_list(value.get("topics")), ref=ref_of(value))


def _refresh(value: dict[str, JsonValue]) -> Refresh:
    token = value.get("token")
    if not isinstance(token, str):
        raise BadRequest("refresh needs a token")
    return Refresh(token=token, ref=ref_of(value))


def _data(value: dict[str, JsonValue]) -> JsonValue | bytes:
    if "data_b64" in value:
        try:
            return json.bytes_of(value["data_b64"])
        except ProtocolError as error:
            raise BadRequest(str(error)) from None
    data = value.get("data", NO_DATA)
    return json.loads(data) if isinstance(data, json.JsonText) else data


_ACTIONS: dict[str, Callable[[dict[str, JsonValue]], Command]] = {
    "publish": _publish,
    "echo": _echo,
    "ping": _ping,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "refresh": _refresh,
}
