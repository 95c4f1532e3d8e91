"""What passes from here to a server: by the probe, by the client, and as a browser would ask.

Also a program, `python -m tests.proxies.measure URL ROUNDS`, since http_proxy and SSL_CERT_FILE are matters of a
process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import aiohttp
from tests.helpers import ROOT, clean_environment

import tricast
from tricast.errors import ConnectFailed
from tricast.probe import Plan, Verdict, probe
from tricast.wire.messages import TransportName

PLAN = Plan(n=10, interval=0.08, patience=1.6)
PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TOPIC = "proxies"
TIMEOUT = 25.0
OPEN_TIMEOUT = 8.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`verdicts` are of ws, sse, poll and POST /send. `lands_on` and `first`: of the default client, the latter being
    the seconds until a message had come (median). `streams`: whether SSE comes as it is sent to one that would take
    compression, None where it was refused. `report` is the probe's, to read when a test fails.
    """

    verdicts: list[Verdict]
    lands_on: TransportName | None
    first: float | None
    streams: bool | None
    proxy: str | None
    report: dict[str, Any]


async def measure(url: str, rounds: int = 1) -> Measured:
    """The topic has to have one message at least."""
    report, streams = await asyncio.gather(probe(url, plan=PLAN), _streams(url))
    assert report.uplink is not None
    lands_on: TransportName | None = None
    times: list[float] = []
    if report.works:
        for _ in range(rounds):
            lands_on, took = await through(url)
            times.append(took)
        for choice in report.order:
            await through(url, choice.transport)
    else:
        await _nothing_passes(url)
    return Measured(
        verdicts=[*(found.verdict for found in report.findings.values()), report.uplink.verdict],
        lands_on=lands_on,
        first=median(times) if times else None,
        streams=streams,
        proxy=report.proxy,
        report=report.to_json(),
    )


async def through(url: str, *only: TransportName) -> tuple[TransportName | None, float]:
    """The transport that a client ends on, and when the first message had come; another one goes there and back."""
    start = time.perf_counter()
    ways = {"transports": only} if only else {}
    async with asyncio.timeout(OPEN_TIMEOUT), tricast.connect(url, [TOPIC], last=1, **ways) as bus:  # type: ignore[arg-type]  # kwargs
        await anext(bus)
        took = time.perf_counter() - start
        assert bus.uplink == "ok"
        await bus.publish(TOPIC, took)
        while (message := await anext(bus)) and not (isinstance(message, tricast.Message) and message.data == took):
            pass
        return bus.transport, took


async def _nothing_passes(url: str) -> None:
    try:
        async with tricast.connect(url, [TOPIC], open_timeout=1.0):
            raise AssertionError("the client got through where the probe did not")
    except ConnectFailed:
        pass


async def _streams(url: str) -> bool | None:
    """Browsers let nobody take away their Accept-Encoding."""
    span = PLAN.n * PLAN.interval
    times: list[float] = []
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate, br"}
    query = {"n": str(PLAN.n), "interval": f"{PLAN.interval:g}"}
    try:
        async with aiohttp.ClientSession(trust_env=True, timeout=aiohttp.ClientTimeout(total=span + 2.0)) as http:
            async with http.get(f"{url}/canary/sse", params=query, headers=headers) as response:
                if response.status != 200:
                    return None
                assert response.headers.get("Content-Encoding", "identity") == "identity"
                async for _ in response.content.iter_any():
                    times.append(time.monotonic())
    except (aiohttp.ClientError, OSError):
        return None
    return times[-1] - times[0] > span / 2


async def measure_apart(url: str, env: dict[str, str], rounds: int = 1) -> Measured:
    """`measure` in a process of its own, with nothing about proxies in its environment but `env`."""
    kept = {name: value for name, value in clean_environment().items() if name.lower() not in PROXY_NAMES}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.proxies.measure", url, str(rounds)),
        cwd=ROOT,
        env={**kept, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    members = json.loads(output)
    return Measured(**{**members, "verdicts": [Verdict(word) for word in members["verdicts"]]})


if __name__ == "__main__":
    assert not any(name.startswith("TRICAST_") for name in os.environ)
    print(json.dumps(asdict(asyncio.run(measure(sys.argv[1], int(sys.argv[2]))))))
