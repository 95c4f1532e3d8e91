"""Formats, compression and payloads that are asked for on the command line, in place of those of the scenarios."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

from tricast.wire.formats import FormatName
from tricast_bench.contents import CONTENTS, Content
from tricast_bench.load import SMALLEST
from tricast_bench.results import Parameter
from tricast_bench.scenarios import Case, Scenario

USUAL: Mapping[str, Parameter] = {"format": "json", "compress": False, "content": "letters"}
"""What a case has where it says nothing. It is left out there, so that results from before can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """An empty one is left as the scenarios have it."""

    format: Sequence[FormatName] = ()
    compress: Sequence[bool] = ()
    size: Sequence[int] = ()
    content: Sequence[Content] = ()

    def checked(self) -> Axes:
        """Raises ValueError with what is wrong."""
        for name, values, known in (
            ("formats", self.format, get_args(FormatName)),
            ("contents", self.content, CONTENTS),
        ):
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"{name} are {' or '.join(known)}, not {', '.join(unknown)}")
        if any(size < SMALLEST for size in self.size):
            raise ValueError(f"a payload has {SMALLEST} bytes at least: it holds its send time")
        return self

    def of(self, scenario: Scenario) -> Scenario:
        """With its cases in all that is asked for. Raises ValueError where the scenario does not choose."""
        values = {name: of for name in ("format", "compress", "size", "content") if (of := getattr(self, name))}
        if not values:
            return scenario
        if scenario.kind != "flow":
            raise ValueError(f"{scenario.name} has no formats, compression or payloads to choose")
        made: dict[str, Case] = {}
        for case in scenario.cases:
            for some in product(*values.values()):
                one = _with(case, dict(zip(values, some, strict=True)))
                made.setdefault(json.dumps(dict(one.parameters), sort_keys=True), one)
        # What is quick was said of the cases as they were.
        return replace(scenario, cases=tuple(made.values()), quick=())


def _with(case: Case, values: Mapping[str, Parameter]) -> Case:
    known = {name: value for name, value in values.items() if name in case.parameters or USUAL.get(name) != value}
    return replace(case, parameters={**case.parameters, **known})
