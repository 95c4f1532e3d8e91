"""The Python client as a program of its own: from `connect` to its first message, printed as JSON.

`python -m tricast_bench.fallback.alone URL SECONDS` prints what benchmarks/first/client.mjs does for clients in Node.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from tricast import TricastError
from tricast.client import connect  # here: under `tricast` it would be loaded when it is first called

TOPIC = "bench"
"""client.mjs has the same."""


async def _first(url: str, seconds: float) -> dict[str, object]:
    start = time.perf_counter()
    try:
        async with asyncio.timeout(seconds), connect(url, [TOPIC], last=1) as bus:
            await anext(bus)
            return {"took": time.perf_counter() - start, "transport": bus.transport, "said": None}
    except (TimeoutError, TricastError) as error:
        return {"took": None, "transport": None, "said": str(error)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_first(sys.argv[1], float(sys.argv[2])))))
