"""The load as a process of its own: generator.c, given a job, then asked for samples."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tricast_bench.peers.compiled import compiled
from tricast_bench.peers.job import Job
from tricast_bench.servers import Unusable

OPENING_TIMEOUT = 40.0
GRACE = 10.0
"""Seconds that generator.c waits for what is under way when the time is up."""
SLACK = 10.0
STOP_TIMEOUT = 2.0
LINE_MAX = 2**20


class Refused(Unusable):
    """The server did not do what the load asked of it; the text has what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the load counted from the first publish until all had arrived, or `GRACE` had passed.

    Times are in nanoseconds, those of `latency` (since a publish was due) and `late` (what the load itself was late by)
    in microseconds. `planned` is how many publishes the rate asks for, 0 where there is none. `stale` belonged to the
    sample before; `answered` are the publishes that the server confirmed. `reads` against `delivered` says how many
    deliveries came at once. `said` is the last thing the publisher was told that was no confirmation.
    """

    published: int
    planned: int
    delivered: int
    missing: int
    duplicates: int
    stale: int
    answered: int
    bytes: int
    reads: int
    elapsed: int
    cpu: int
    latency: Mapping[str, float]
    late: Mapping[str, float]
    said: str


class Load:
    """A generator whose connections are open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._rest = b""
        self.opening = 0.0
        """Seconds that the opening of all connections took."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def sample(self, *, rate: float = 0.0, seconds: float, window: int = 0) -> Outcome:
        """At `rate` messages a second, or with `window` in flight; an echo takes neither. Raises Refused."""
        self._write(f"sample rate={rate:g} seconds={seconds:g} window={window}\n")
        return Outcome(**self._answer(seconds + GRACE + SLACK))

    def wait(self, seconds: float) -> None:
        """Lets time pass in which nothing is published. Raises Refused if something breaks meanwhile."""
        with contextlib.suppress(TimeoutError):
            self._answer(seconds)

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self._answer(SLACK)  # it has said why
            raise Refused("the load has ended") from None

    def _answer(self, timeout: float) -> dict[str, Any]:
        """The next line. Raises TimeoutError, and Refused where it is an error."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the load says nothing for {timeout:g} s")
            data = os.read(self._process.stdout.fileno(), LINE_MAX)
            if not data:
                raise Refused(f"the load has ended: {self._process.wait(STOP_TIMEOUT)}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer


@contextlib.contextmanager
def loading(job: Job, core: int | None = None) -> Iterator[Load]:
    """The load from when all its connections are open, on this core alone. Raises Refused, and Unusable."""
    text = "".join(f"{line}\n" for line in job.lines())
    program = compiled("generator")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            load = Load(process)
            load._write(text)
            load.opening = load._answer(OPENING_TIMEOUT)["seconds"]
            yield load
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # it ends when there is nobody to ask anything
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
