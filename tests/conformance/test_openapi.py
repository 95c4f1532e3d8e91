"""The HTTP API is as `/openapi.json` says, whatever is sent to it: schemathesis makes requests up from it.

Held to: no status 5xx that is not described, and every answer with a status, a type, headers and a body as described.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.helpers import Process, serving

SECONDS = 240.0 if "TRICAST_CONFORMANCE" in os.environ else 6.0
EXAMPLES = 10_000 if "TRICAST_CONFORMANCE" in os.environ else 100
WAIT_MAX = 120
BATCH = 5
QUIETLY = settings(
    max_examples=BATCH,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
STREAMS = {"/ws", "/sse", "/canary/ws", "/canary/sse"}
"""They do not end, or want an upgrade: the streams are in asyncapi.json."""
TAKES_MUCH = {"GET /poll", "POST /send", "POST /topics/{topic}", "GET /canary/poll"}
"""What is wrong in a request can be something only here."""
CHECKS = (
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

Case: TypeAlias = schemathesis.Case[Any]
Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with serving("--heartbeat", "1") as server:
        yield server


@pytest.mark.may_block("it is a program of its own")
@pytest.mark.timeout(400)
def test_every_answer_is_as_described(server: Process) -> None:
    schema = openapi.from_url(f"{server.url}/openapi.json")
    ends, asked = time.monotonic() + SECONDS, Counter[tuple[str, GenerationMode]]()
    results = list(schema.get_all_operations())
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(operations) == len(results)
    operations = [operation for operation in operations if operation.path not in STREAMS]
    turns = [(operation, GenerationMode.POSITIVE) for operation in operations]
    turns += [(operation, GenerationMode.NEGATIVE) for operation in operations if operation.label in TAKES_MUCH]
    for number, (operation, mode) in enumerate(turns):
        share = (ends - time.monotonic()) / (len(turns) - number)
        asked[operation.label, mode] = ask(operation, mode, time.monotonic() + share)
    assert len(asked) == len(operations) + len(TAKES_MUCH)
    assert all(asked.values())
    assert server.stats()["messages"]["published"] > 0


def hurry(case: Case) -> None:
    """Numbers of seconds become 0, as does what is not said; what is no number stays wrong."""
    for path, name in (("/poll", "wait"), ("/canary/poll", "interval")):
        if case.operation.path == path:
            with contextlib.suppress(TypeError, ValueError):
                query = case.query if case.query is not None else {}
                if 0 <= float(query.get(name, 0)) <= WAIT_MAX:
                    case.query = {**query, name: 0}


def ask(operation: Operation, mode: GenerationMode, ends: float) -> int:
    """How many requests were made up, right or wrong ones, and answered."""
    count, cases = 0, operation.as_strategy(mode)

    def check(case: Case) -> None:
        nonlocal count
        hurry(case)
        case.call_and_validate(checks=list(CHECKS), timeout=20)
        count += 1

    for number in range(EXAMPLES // BATCH):
        before = count
        seed(number)(QUIETLY(given(case=cases)(lambda case: check(case))))()
        if time.monotonic() > ends or count < before + BATCH:  # or there is nothing else to ask
            break
    return count
