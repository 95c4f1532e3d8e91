"""Makes the planned runs: a fresh server on one core, the load's process on another, and again where a run is void."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from tricast_bench.bench.between import between, missing
from tricast_bench.bench.job import Answer, Job, Measured
from tricast_bench.bench.plan import Planned
from tricast_bench.results import Metrics, Parameter, Run
from tricast_bench.scenarios import Case
from tricast_bench.servers import Cores, Peer, Server, Unusable, program, running

PATIENCE = 120.0
"""Seconds beyond what a run should take, after which the load's process is given up."""


class LoadGone(Unusable):
    """The process of the load has ended, or says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`attempts` is how often a void run is made in all. `deadline` (monotonic) is when no new run is begun.

    `cores` None: the load runs where it likes, as the server is `target`, another machine's or one that runs already.
    """

    cores: Cores | None
    transports: Sequence[str]
    seed: int
    target: str | None = None
    attempts: int = 3
    deadline: float | None = None
    on_run: Callable[[Run], None] = lambda run: None
    on_left: Callable[[float], None] = lambda seconds: None
    """Told about how many seconds are left, before each run."""
    skipped: dict[str, str] = field(default_factory=dict)

    def make(self, planned: Sequence[Planned]) -> Iterator[Run]:
        """Each run as it is done, void ones too. Raises LoadGone."""
        order, factor = 0, 1.0
        with _load(self.cores) as load:
            for index, one in enumerate(planned):
                reason = self._missing(one)
                if reason is not None:
                    self.skipped[one.scenario.name] = reason
                    continue
                left = factor * sum(later.estimate for later in planned[index:])
                self.on_left(min(left, self._until_deadline()))
                for _ in range(self.attempts if one.scenario.kind != "steps" else 1):  # these see to it themselves
                    if one.repeat > 1 and self._until_deadline() < factor * one.estimate:
                        return
                    began = time.monotonic()
                    runs = self._run(one, load, order)
                    factor += 0.2 * ((time.monotonic() - began) / one.estimate - factor)
                    order += len(runs)
                    yield from runs
                    if not any(run.void for run in runs) or self._until_deadline() < factor * one.estimate:
                        break

    def _missing(self, one: Planned) -> str | None:
        if self.target is not None and one.scenario.kind == "fallback":
            return "it starts servers of its own"
        return missing(one.case, target=self.target is not None)

    def _until_deadline(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def _run(self, one: Planned, load: subprocess.Popen[str], order: int) -> list[Run]:
        started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            answer = self._answer(one, load)
        except LoadGone:
            raise
        except Unusable as error:  # a server that did not start this time
            answer = Answer(failed=str(error))
        if answer.failed is not None:
            failed = Measured(transport=one.transport, seconds=0.0, void=answer.failed, metrics=Metrics())
            answer = Answer(measured=(failed,))
        return [
            Run(
                scenario=one.scenario.name,
                parameters=self._parameters(one, measured),
                transport=measured.transport,
                repeat=one.repeat,
                order=order + number,
                started_at=started,
                seconds=round(measured.seconds, 3),
                warm_up=one.warm_up,
                void=measured.void,
                metrics=measured.metrics,
                histogram=measured.histogram,
                series=measured.series,
            )
            for number, measured in enumerate(answer.measured)
        ]

    def _parameters(self, one: Planned, measured: Measured) -> dict[str, Parameter]:
        through: dict[str, Parameter] = {"through": one.case.through} if one.case.through else {}
        return {**one.case.parameters, **through, **measured.more}

    def _answer(self, one: Planned, load: subprocess.Popen[str]) -> Answer:
        if one.scenario.kind == "fallback":
            return _ask(load, one.job("", "", None, self.transports, self.seed), one.estimate)
        if self.target is not None:
            job = one.job(self.target, self.target, None, self.transports, self.seed)
            return _ask(load, job, one.estimate)
        assert self.cores is not None
        with running(_server(one.case), self.cores.server) as server:
            url, spare = _url(server), _spare(self.cores)
            shared = one.case.through is not None and spare == self.cores.server
            with between(one.case, url, spare) as front:
                job = one.job(front, url, server.pid, self.transports, self.seed, shared=shared)
                return _ask(load, job, one.estimate)


def _spare(cores: Cores) -> int:
    """For what stands between: a third core, or the server's where there are two."""
    others = os.sched_getaffinity(0) - {cores.server, cores.generator}
    return min(others, default=cores.server)


def _server(case: Case) -> Peer:
    options = [*case.options, *(["--compress"] if case.parameters.get("compress") else [])]
    return Peer("tricast", lambda port: [program("tricast"), "serve", "--port", str(port), *options], {})


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@contextlib.contextmanager
def _load(cores: Cores | None) -> Iterator[subprocess.Popen[str]]:
    """The process in which the load's own processes are forked."""
    command = [sys.executable, "-m", "tricast_bench.bench.worker", *([str(cores.generator)] if cores else [])]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # with what it forked for a job that is not done
        process.wait()
        _pipe(process.stdout).close()


def _ask(load: subprocess.Popen[str], job: Job, estimate: float) -> Answer:
    """Raises LoadGone."""
    answers = _pipe(load.stdout)
    try:
        _pipe(load.stdin).write(job.line())
        _pipe(load.stdin).flush()
    except OSError:
        raise LoadGone("the process of the load has ended; its last words are above") from None
    ready, _, _ = select.select([answers], [], [], estimate + PATIENCE)
    line = answers.readline() if ready else ""
    if not line:
        raise LoadGone("the process of the load " + ("has ended" if ready else "does not answer"))
    return Answer.of_line(line)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
