"""Serves the descriptions. They are made anew each time, off the event loop: nobody asks often."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from tricast_server.describe.asyncapi import asyncapi
from tricast_server.describe.openapi import openapi
from tricast_server.service import Service


async def openapi_json(request: web.Request, service: Service) -> web.StreamResponse:
    prefix = request.path.removesuffix("/openapi.json")
    return _answer(await asyncio.to_thread(openapi, service.settings, prefix))


async def asyncapi_json(request: web.Request, service: Service) -> web.StreamResponse:
    prefix = request.path.removesuffix("/asyncapi.json")
    return _answer(await asyncio.to_thread(asyncapi, request.host, prefix))


def _answer(document: dict[str, Any]) -> web.Response:
    return web.json_response(document, headers={"Cache-Control": "no-cache"})
