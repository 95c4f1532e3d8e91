"""Going away without losing anything: whoever reads gets all that was acknowledged, then a bye."""

from __future__ import annotations

import asyncio
import logging

from tricast_server.service import Service

log = logging.getLogger(__name__)
STEP = 0.02


async def drain(service: Service) -> None:
    """Refuse publishes, let every subscription end with a bye once it has everything, answer parked polls, and wait
    for them, `drain_timeout` seconds at most. Then what is left is cut. Idempotent. New connections are the caller's.
    """
    bus = service.bus
    if bus.draining:
        return
    service.drain_ends = asyncio.get_running_loop().time() + service.settings.drain_timeout
    await bus.stop_publishing()
    for subscription in list(bus.subscriptions):
        subscription.drain(service.bye())
    bus.wake_parked()
    try:
        async with asyncio.timeout_at(service.drain_ends):
            while _busy(service):  # noqa: ASYNC110 - transports have no event for their close
                await asyncio.sleep(STEP)
    except TimeoutError:
        log.info("drain: time is up, %d connections are cut", len(bus.subscriptions))
    for subscription in list(bus.subscriptions):
        subscription.sink.abort()


def _busy(service: Service) -> bool:
    return any(service.connections.values()) or bool(service.pollers)
