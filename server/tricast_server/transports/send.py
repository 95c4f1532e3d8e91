"""`POST /send`: commands over HTTP. `POST /topics/{topic}`: publish a body as it is."""

from __future__ import annotations

import asyncio
import math

from aiohttp import web

from tricast.errors import COMMAND_ERRORS, BadRequest, CommandError, TooLarge, Unavailable
from tricast.wire import json, protobuf
from tricast.wire.commands import COMMANDS_MAX, command_of, ref_of, topic_list
from tricast.wire.cursor import DEFAULT_TOPIC
from tricast.wire.messages import Error, Frame, JsonValue, Publish, Reply
from tricast_server.guard.authorise import bearer_token
from tricast_server.service import Service
from tricast_server.transports.accept import prefers
from tricast_server.transports.commands import Caller, error_frame
from tricast_server.transports.params import check_version, client_of, new_client

PACKED_MORE = 2**16
"""Bytes beside one message that a packed body may become. For more, whoever sends pays for each byte of it."""
NO_STORE = {"Cache-Control": "no-store"}
_TEXT_TYPES = ("application/x-www-form-urlencoded",)
"""What `curl -d` says of a body that it was given as text."""


async def handle(request: web.Request, service: Service) -> web.StreamResponse:
    """One command, or several that are carried out in order."""
    caller = _caller(request, service, _first_topic(request))
    await caller.enter()
    values, alone = _commands(request, await read_body(request, service))
    answers = await _run_all(caller, values)
    if alone and isinstance(answers[0], Error):
        return respond(answers[0])
    if _wants_protobuf(request):
        body = protobuf.encode_answers(answers)
        return web.Response(body=body, headers={**NO_STORE, "Content-Type": protobuf.CONTENT_TYPE})
    if alone:
        return respond(answers[0])
    return web.json_response(text=f"[{','.join(map(json.encode, answers))}]", headers=NO_STORE)


def _commands(request: web.Request, body: bytes) -> tuple[list[JsonValue], bool]:
    """The commands, and whether there is but one, whose outcome is the status. Raises BadRequest."""
    if request.content_type == protobuf.CONTENT_TYPE:
        values = protobuf.commands_members(body)
        if not values:
            raise BadRequest("no commands")
        return values, len(values) == 1
    value = json.loads(body)
    if not isinstance(value, list):
        return [value], True
    if not 1 <= len(value) <= COMMANDS_MAX:
        raise BadRequest(f"an array of 1 to {COMMANDS_MAX} commands")
    return value, False


def _wants_protobuf(request: web.Request) -> bool:
    """The answer is of the body's format, unless Accept names the other one with more weight."""
    if request.content_type == protobuf.CONTENT_TYPE:
        return not prefers(request, json.CONTENT_TYPE, to=protobuf.CONTENT_TYPE)
    return prefers(request, protobuf.CONTENT_TYPE, to=json.CONTENT_TYPE)


async def publish(request: web.Request, service: Service) -> web.StreamResponse:
    """The body is the data: JSON, text or bytes by its Content-Type."""
    topic = topic_list([request.match_info["topic"]])[0]
    caller = _caller(request, service, topic)
    await caller.enter()
    body = await read_body(request, service)
    members = {"action": "publish", "topic": topic, "data": None}
    members.update({name: request.query[name] for name in ("event", "id") if name in request.query})
    checked = command_of(members)
    assert isinstance(checked, Publish)
    command = Publish(topic=topic, event=checked.event, id=checked.id, data=_data_of(request, body))
    receipt = await caller.publish(command)
    return respond(Reply(action="publish", at=str(receipt.at), duplicate=receipt.duplicate))


async def read_body(request: web.Request, service: Service) -> bytes:
    """The whole body. Raises TooLarge, BadRequest where it does not come in time."""
    body = bytearray()
    most, patience = service.settings.max_body, service.settings.body_timeout
    packed = "Content-Encoding" in request.headers
    if packed:
        most = min(most, service.settings.max_message + PACKED_MORE)
    try:
        async with asyncio.timeout(patience):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > most:
                    if packed:
                        _give_up(request)  # what is left could become gigabytes
                    raise TooLarge(f"a body of over {most} bytes")
    except web.RequestPayloadError:
        _give_up(request)
        raise BadRequest("the body is not of the encoding it names") from None
    except TimeoutError:
        _give_up(request)
        error = BadRequest(f"the body did not come within {patience:g} s")
        error.reason = "slow_body"
        raise error from None
    return bytes(body)


def _give_up(request: web.Request) -> None:
    """The connection ends with the answer, and is not read any more: where the body ends, nobody can tell."""
    request.content.feed_eof()
    request.protocol.close()


def respond(frame: Frame) -> web.Response:
    """A reply or an error as a response with its status."""
    status = COMMAND_ERRORS[frame.code].status if isinstance(frame, Error) else 200
    response = web.json_response(text=json.encode(frame), status=status)
    if isinstance(frame, Error) and frame.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(frame.retry_after))
    response.headers.update(NO_STORE)
    return response


def respond_error(error: CommandError) -> web.Response:
    return respond(error_frame(error))


async def _run_all(caller: Caller, values: list[JsonValue]) -> list[Reply | Error]:
    answers: list[Reply | Error] = []
    for value in values:
        if answers and isinstance(answers[-1], Error) and answers[-1].code == Unavailable.code:
            skipped = Unavailable("not attempted: a command before it failed", retry_after=answers[-1].retry_after)
            answers.append(error_frame(skipped, ref_of(value)))
            continue
        answer = await caller.run(value)
        assert answer is not None, "only a stream answers later"
        answers.append(answer)
    return answers


def _caller(request: web.Request, service: Service, topic: str) -> Caller:
    check_version(request.query)
    return Caller(
        service=service,
        request=request,
        client=client_of(request.query) or new_client(),
        subject=None,
        token=bearer_token(request),
        topic=topic,
    )


def _first_topic(request: web.Request) -> str:
    return topic_list(request.query.get("topics", DEFAULT_TOPIC).split(","))[0]


def _data_of(request: web.Request, body: bytes) -> JsonValue | bytes:
    kind = request.content_type
    if kind == "application/json" or kind.endswith("+json"):
        return json.loads(body)
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        try:
            return body.decode(request.charset or "utf-8")
        except (LookupError, ValueError):
            raise BadRequest("the body is not text of the charset it names") from None
    return body
