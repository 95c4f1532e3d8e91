"""picows on uvloop, one send per client and message: /ws, /echo; publish on /publish."""

from __future__ import annotations

import argparse

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

HEARTBEAT = 20.0
subscribers: set[WSTransport] = set()


class Subscriber(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        subscribers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        subscribers.discard(transport)


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                transport.send(frame.msg_type, frame.get_payload_as_memoryview())
            case WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()


class Publisher(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            for subscriber in subscribers:
                subscriber.send(WSMsgType.TEXT, payload)
            transport.send(WSMsgType.TEXT, b"ok")


ROLES = {b"/ws": Subscriber, b"/echo": Echo, b"/publish": Publisher}


def listener(request: WSUpgradeRequest) -> WSListener | None:
    role = ROLES.get(request.path)
    return role() if role else None


async def run(port: int) -> None:
    server = await ws_create_server(
        listener, "127.0.0.1", port, backlog=1024, enable_auto_ping=True, auto_ping_idle_timeout=HEARTBEAT
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
