"""What the benchmarks of this folder share as programs: how they are stopped, and the raw data they keep."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tricast_bench.environment import environment

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def start(command: Callable[..., None]) -> None:
    """Runs it so that SIGTERM and Ctrl-C leave through its `finally`s, in which servers are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell begins with it ignored
    typer.run(command)


def about(benchmark: str) -> dict[str, Any]:
    """What raw data begin with."""
    return {
        "benchmark": benchmark,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": sys.argv,
        "environment": environment(),
    }


def keep(raw: dict[str, Any], samples: Sequence[DataclassInstance], file: Path | None) -> None:
    """Writes what was measured until now, if it is wanted."""
    if file is not None:
        written = json.dumps(raw | {"samples": [asdict(sample) for sample in samples]}, indent=1)
        file.write_text(written + "\n", encoding="utf-8")
