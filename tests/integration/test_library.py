"""The bus inside somebody's own aiohttp application: mounted under a prefix, published to, and asking who may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tricast.errors import BadRequest, Forbidden, Unauthorized
from tricast_server import Access, Service, Settings, setup

Client = TestClient[web.Request, web.Application]


async def guard(access: Access) -> str | None:
    """Ann may do everything, others only what is public, until their token says more."""
    if access.token is None:
        raise Unauthorized("a token, please")
    who, _, more = access.token.partition("+")
    if who != "ann" and more != "all" and any(not topic.startswith("public.") for topic in access.topics):
        raise Forbidden("not yours")
    return who


def application(**more: Any) -> tuple[web.Application, Service]:
    app = web.Application()
    service = setup(app, "/rt", settings=Settings(node="library"), **more)

    async def order(request: web.Request) -> web.Response:
        receipt = await service.publish("orders", {"n": 1}, event="created", id="order-1")
        return web.json_response({"at": str(receipt.at)})

    app.router.add_post("/orders", order)
    return app, service


async def poll(client: Client, query: str) -> dict[str, Any]:
    async with client.get(f"/rt/poll?{query}") as response:
        assert response.status == 200
        return dict(await response.json())


async def test_mounted_under_a_prefix_and_published_to_from_a_handler(aiohttp_client: AiohttpClient) -> None:
    app, _ = application()
    client = await aiohttp_client(app)
    async with client.ws_connect("/rt/ws?topics=orders") as ws:
        assert (await ws.receive_json())["node"] == "library"
        async with client.post("/orders") as response:
            at = (await response.json())["at"]
        message = await ws.receive_json()
    assert (message["cursor"], message["event"], message["data"]) == (at, "created", {"n": 1})
    assert (await poll(client, "topics=orders&cursor=earliest&wait=0"))["messages"] == [message]
    async with client.get("/ws") as elsewhere:
        assert elsewhere.status == 404
    async with client.get("/rt/") as page:
        assert page.content_type == "text/html"


async def test_publish_from_code_refuses_what_nobody_could_read(aiohttp_client: AiohttpClient) -> None:
    app, service = application()
    await aiohttp_client(app)
    with pytest.raises(BadRequest):
        await service.publish("no/slash", 1)
    with pytest.raises(BadRequest):
        await service.publish("t", float("nan"))
    with pytest.raises(BadRequest):
        await service.publish("t", 1, id="no spaces")
    first = await service.publish("t", b"\x00\xff", id="once")
    again = await service.publish("t", b"\x00\xff", id="once")
    assert (first.at, first.duplicate, again.at, again.duplicate) == (first.at, False, first.at, True)


@pytest.mark.parametrize(
    ("token", "topic", "status"),
    [(None, "public.news", 401), ("bob", "private", 403), ("bob", "public.news", 200), ("ann", "private", 200)],
)
async def test_the_hook_refuses_the_same_way_everywhere(
    aiohttp_client: AiohttpClient, token: str | None, topic: str, status: int
) -> None:
    app, _ = application(authorise=guard)
    client = await aiohttp_client(app)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client.get(f"/rt/poll?topics={topic}&wait=0", headers=headers) as response:
        assert response.status == status
    async with client.get(f"/rt/sse?topics={topic}", headers=headers) as response:
        assert response.status == status
    body = {"action": "publish", "topic": topic, "data": 1}
    async with client.post("/rt/send", json=body, headers=headers) as response:
        assert response.status == status
    async with client.post(f"/rt/topics/{topic}", json=1, headers=headers) as response:
        assert response.status == status
    query = f"&token={token}" if token else ""
    async with client.ws_connect(f"/rt/ws?topics={topic}{query}") as ws:
        first = await ws.receive_json()
        if status == 200:
            assert first["type"] == "hello"
        else:
            assert first["type"] == "error"
            await ws.receive()
            assert ws.close_code == 4000 + status


async def test_the_subject_travels_with_the_message_and_keeps_ids_apart(aiohttp_client: AiohttpClient) -> None:
    app, _ = application(authorise=guard)
    client = await aiohttp_client(app)
    for token in ("ann", "bob", "ann"):
        async with client.post(
            f"/rt/send?client=same&token={token}",
            data=json.dumps({"action": "publish", "topic": "public.x", "data": 1, "id": "same"}),
        ) as response:
            assert response.status == 200
    answer = await poll(client, "topics=public.x&cursor=earliest&wait=0&token=ann")
    assert [(m["from"], m["sub"]) for m in answer["messages"]] == [("same", "ann"), ("same", "bob")]
    own = await poll(client, "topics=public.x&cursor=earliest&wait=0&token=ann&client=same&echo=0")
    assert [m["sub"] for m in own["messages"]] == ["bob"]


async def test_an_inbox_needs_no_leave(aiohttp_client: AiohttpClient) -> None:
    """Its name is the leave; a hook that knows topics need not know of inboxes."""
    app, _ = application(authorise=guard)
    client = await aiohttp_client(app)
    inbox = "_inbox." + "x" * 22
    async with client.ws_connect(f"/rt/ws?topics=public.a,{inbox}&token=bob") as ws:
        assert (await ws.receive_json())["type"] == "hello"
        await ws.send_json({"action": "echo", "data": 1, "reply_to": inbox})
        frames = [await ws.receive_json() for _ in range(2)]
        assert {frame["type"] for frame in frames} == {"reply", "message"}


async def test_a_subscribe_in_mid_stream_is_asked_too(aiohttp_client: AiohttpClient) -> None:
    app, _ = application(authorise=guard)
    client = await aiohttp_client(app)
    async with client.ws_connect("/rt/ws?topics=public.a&token=bob") as ws:
        await ws.receive_json()
        await ws.send_json({"action": "subscribe", "topics": ["private"], "ref": "1"})
        assert (await ws.receive_json())["code"] == "forbidden"
        await ws.send_json({"action": "refresh", "token": "ann", "ref": "2"})
        assert (await ws.receive_json())["code"] == "forbidden", "it is still bob's connection"
        await ws.send_json({"action": "refresh", "token": "bob+all", "ref": "2"})
        assert (await ws.receive_json())["action"] == "refresh"
        await ws.send_json({"action": "subscribe", "topics": ["private"], "ref": "3"})
        assert (await ws.receive_json())["topics"] == ["public.a", "private"]


def test_a_prefix_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="prefix"):
        setup(web.Application(), "rt/")
