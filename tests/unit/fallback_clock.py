"""A race and the time. It records what happens, which clients in other languages are then held to.

Each test's record is a case of tests/vectors/fallback.json and has to stay equal to it; `make vectors` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tricast.fallback import Action, Carry, CheckOnline, Close, Note, Open, Policy, Prove, Race
from tricast.wire.messages import TransportName

ALL: tuple[TransportName, ...] = ("ws", "sse", "poll")
FILE = Path(__file__).resolve().parents[1] / "vectors" / "fallback.json"
ABOUT = (
    "The rules of the fallback. A race of `transports` (the best first) with the default policy, except for what"
    " `policy` says; random numbers are always 0.5. Each step is an event: its name and arguments as in the reference,"
    " at the time `at`, in seconds; `time` is the call that is made when nothing else happens at the time the race has"
    " asked for. `do` is what it leads to, in order, reasons left out; afterwards `carrier`, `uplink` and `next` (when"
    " the race wants to be called, to the millisecond) are as stated."
)

Case = dict[str, Any]


class Clock:
    """Each event returns what was done for it, without notes and reasons."""

    made: ClassVar[list[Clock]] = []

    def __init__(self, *transports: TransportName, **policy: float) -> None:
        names = transports or ALL
        self.race = Race(names, Policy(**policy), jitter=lambda: 0.5)
        self.now = 0.0
        self.notes: list[Note] = []
        self.case: Case = {"transports": list(names), **({"policy": policy} if policy else {}), "steps": []}
        self.made.append(self)

    def begin(self, *remembered: Any) -> list[str]:
        return self._step("begin", list(remembered), {}, self.race.begin(self.now, *remembered))

    def tell(self, event: str, *args: Any, **more: Any) -> list[str]:
        method: Callable[..., list[Action]] = getattr(self.race, f"on_{event}")
        before = args[:1] if args and args[0] in ALL else ()
        actions = method(*before, self.now, *args[len(before) :], **more)
        return self._step(event, list(args), more, actions)

    def until(self, when: float) -> list[tuple[float, str]]:
        """What is done by itself up to this time, and when."""
        done: list[tuple[float, str]] = []
        while (due := self.race.next_time()) is not None and due <= when:
            assert due > self.now or not done or done[-1][0] <= due, "time goes on"
            self.now = max(self.now, due)
            actions = self._step("time", [], {}, self.race.on_time(self.now))
            done += [(round(self.now, 3), action) for action in actions]
        self.now = when
        return done

    def _step(self, event: str, args: list[Any], more: dict[str, Any], actions: list[Action]) -> list[str]:
        due = self.race.next_time()
        self.case["steps"].append(
            {
                "at": self.now,
                "event": event,
                **({"args": args} if args else {}),
                **more,
                "do": [_shown(action) for action in actions],
                "carrier": self.race.carrier,
                "uplink": self.race.uplink,
                "next": None if due is None else round(due, 3),
            }
        )
        self.notes += [action for action in actions if isinstance(action, Note)]
        return [_shown(action) for action in actions if not isinstance(action, Note)]

    @property
    def uplink(self) -> str:
        return self.race.uplink

    def noted(self, what: str) -> list[TransportName | None]:
        return [note.transport for note in self.notes if note.what == what]

    def works(self, transport: TransportName, rtt: float = 0.01) -> list[str]:
        return self.tell("hello", transport) + self.tell("proven", transport, rtt)


def _shown(action: Action) -> str:
    match action:
        case Note():
            return f"note {action.what}" + (f" {action.transport}" if action.transport else "")
        case CheckOnline():
            return "check"
        case Open() | Prove() | Carry() | Close():
            return f"{type(action).__name__.lower()} {action.transport}"


def recorded() -> dict[str, Case]:
    """The cases of the file, by name."""
    if not FILE.exists():
        return {}
    return {case["name"]: case for case in json.loads(FILE.read_text())["cases"]}


def record(cases: dict[str, Case]) -> None:
    """Writes the file: one line per step, so that a change can be read as a difference."""
    blocks = []
    for name, case in sorted(cases.items()):
        head = {"name": name, **{key: value for key, value in case.items() if key not in ("name", "steps")}}
        steps = ",\n".join(f"      {json.dumps(step)}" for step in case["steps"])
        blocks.append(f'    {json.dumps(head)[:-1]}, "steps": [\n{steps}\n    ]}}')
    FILE.write_text(f'{{\n  "about": {json.dumps(ABOUT)},\n  "cases": [\n' + ",\n".join(blocks) + "\n  ]\n}\n")
