"""The bus under locust: `locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080`, with all that locust has.

Users listen; messages go out by a schedule that does not wait for anybody. `--rate` is messages a second of each
process that has users. Locust's own times are those from the intended send time, rounded as it rounds; percentiles
that are exact to three digits, what was lost, and how late the load itself was are printed at the end of a test.
Workers on other machines count what they hear of each other's messages, but no latency: their clocks differ.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import gevent
import locust
from locust.runners import MasterRunner, WorkerRunner
from rich.console import Console

from tricast.wire.formats import NAMES
from tricast_bench.contents import CONTENTS
from tricast_bench.load import SMALLEST, offsets
from tricast_bench.users.base import Tongue
from tricast_bench.users.crowd import LINKS, Crowd
from tricast_bench.users.ledger import Ledger
from tricast_bench.users.people import BusUser
from tricast_bench.users.tcp import Target

DRAIN = 2.0
WIDTH = 120
FOREVER = 2**62
HOST = "http://127.0.0.1:8080"
LEDGER = Ledger()
GREENLETS: list[Any] = []


class WebSocketUser(BusUser):
    transport = "ws"
    host = HOST


class SSEUser(BusUser):
    transport = "sse"
    host = HOST


class LongPollUser(BusUser):
    transport = "poll"
    host = HOST


def add_arguments(parser: Any) -> None:
    parser.add_argument("--rate", type=float, default=20.0, help="Messages a second, of each process with users")
    parser.add_argument("--payload", type=int, default=128, help="Bytes of a message's data")
    parser.add_argument("--content", default="letters", choices=CONTENTS, help="What that is")
    parser.add_argument("--format", default="json", choices=NAMES, help="How messages travel")
    parser.add_argument("--compress", action="store_true", help="Offer to take what is compressed")
    parser.add_argument("--transport", default="ws,sse,poll", help="Which users there are: some of ws,sse,poll")
    parser.add_argument("--pattern", default="broadcast", choices=["broadcast", "echo"], help="Who hears a message")
    parser.add_argument("--shape", default="fixed", choices=["fixed", "poisson"], help="The schedule's distances")


def choose_users(environment: Any, **_: Any) -> None:
    wanted = environment.parsed_options.transport.split(",")
    if unknown := [name for name in wanted if name not in LINKS]:
        sys.exit(f"--transport is some of {','.join(LINKS)}, not {','.join(unknown)}")
    if environment.parsed_options.payload < SMALLEST:
        sys.exit(f"--payload is {SMALLEST} at least: a message holds its send time")
    if not isinstance(environment.runner, WorkerRunner):  # a master says which
        environment.user_classes[:] = [one for one in environment.user_classes if one.transport in wanted]


def begin(environment: Any, **_: Any) -> None:
    LEDGER.clear()
    if isinstance(environment.runner, MasterRunner):
        return
    options = environment.parsed_options
    own_topics = options.pattern == "echo"
    target = Target.of(environment.host or HOST)
    BusUser.crowd = crowd = Crowd(
        target,
        own_topics=own_topics,
        size=options.payload,
        content=options.content,
        tongue=Tongue(format=options.format, compress=options.compress),
        from_zero=False,
    )
    for name, recorder in crowd.recorders.items():
        recorder.tell = _teller(environment, name, options.pattern, options.payload)
    crowd.restart(0)
    crowd.hire()
    schedule = offsets(options.rate, options.shape, seed=time.time_ns())
    playing = gevent.spawn(crowd.play, schedule, time.monotonic_ns(), FOREVER)
    draining = gevent.spawn(_drain, environment, crowd)
    GREENLETS.extend((playing, draining))


def _teller(environment: Any, transport: str, name: str, size: int) -> Any:
    fire = environment.events.request.fire

    def tell(milliseconds: float) -> None:
        fire(
            request_type=transport,
            name=name,
            response_time=milliseconds,
            response_length=size,
            exception=None,
            context={},
        )

    return tell


def _drain(environment: Any, crowd: Crowd) -> None:
    """Where there is no master to report to, so that a long test needs no more memory than a short one."""
    while not isinstance(environment.runner, WorkerRunner):
        gevent.sleep(DRAIN)
        LEDGER.add("here", LEDGER.report(crowd))


def report(client_id: str, data: dict[str, Any], **_: Any) -> None:
    if hasattr(BusUser, "crowd"):
        data["tricast"] = LEDGER.report(BusUser.crowd)


def take(client_id: str, data: dict[str, Any], **_: Any) -> None:
    if "tricast" in data:
        LEDGER.add(client_id, data["tricast"])


def end(environment: Any, **_: Any) -> None:
    runner = environment.runner
    gevent.killall(GREENLETS)
    GREENLETS.clear()
    if hasattr(BusUser, "crowd"):
        BusUser.crowd.close()
        if not isinstance(runner, WorkerRunner):
            LEDGER.add("here", LEDGER.report(BusUser.crowd))
    if not isinstance(runner, MasterRunner | WorkerRunner) or not environment.parsed_options.headless:
        show()
    elif isinstance(runner, MasterRunner):
        environment.events.quit.add_listener(show)  # the last reports are on their way


def show(**_: Any) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(LEDGER.table())
    for note in LEDGER.notes():
        console.print(f"[yellow]{note}[/]")


def register(events: Any) -> None:
    events.init_command_line_parser.add_listener(add_arguments)
    events.init.add_listener(choose_users)
    events.test_start.add_listener(begin)
    events.report_to_master.add_listener(report)
    events.worker_report.add_listener(take)
    events.test_stop.add_listener(end)


register(locust.events)
