"""The load's process: jobs come in as lines of JSON, answers go out. Each job has a process of its own.

Locust is imported once, without its patching of the standard library, and every job is a fork of this: a fresh heap
and an event loop of its own, without the second that an import takes.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"  # all our I/O asks gevent by name

import gevent

from tricast_bench.bench.job import Answer, Job
from tricast_bench.bench.measure import KINDS


def main() -> None:
    """Until the input ends. One argument: the core to stay on."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    logging.getLogger("locust").setLevel(logging.ERROR)
    gc.collect()
    gc.freeze()
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            _child(line)
        _, status = os.waitpid(pid, 0)
        if status:
            _say(Answer(failed=f"the load's process ended with status {status}"))


def _child(line: str) -> None:
    """Answers one job, and does not return."""
    gevent.reinit()
    gc.disable()  # a job is short
    try:
        job = Job.of_line(line)
        answer = Answer(measured=tuple(KINDS[job.kind](job)))
    except (OSError, TimeoutError) as error:
        answer = Answer(failed=str(error) or type(error).__name__)
    except Exception:
        answer = Answer(failed=traceback.format_exc())
    _say(answer)
    os._exit(0)


def _say(answer: Answer) -> None:
    sys.stdout.write(answer.line())
    sys.stdout.flush()


if __name__ == "__main__":
    main()
