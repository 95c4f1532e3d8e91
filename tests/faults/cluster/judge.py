"""What has to be true of a run beside the checker's verdict."""

from __future__ import annotations

from tests.faults.cluster.chaos import WIPE
from tests.faults.cluster.trial import Outcome

EPOCHS_PER_LOSS = {"redis": 1, "nats": 2}
"""New epochs that one loss may bring. JetStream has no compare-and-set: two nodes that find it at once make two."""
INDENTED = " " * 8
"""What begins the lines of a traceback in the log."""


def faults_of(outcome: Outcome, engine: str) -> list[str]:
    """Empty where all is well."""
    verdict = outcome.verdict
    wrong = [f"{kind}: {text}" for kind, texts in verdict.problems.items() for text in texts]
    losses = outcome.faults[WIPE]
    if not 1 + losses <= len(verdict.epochs) <= 1 + losses * EPOCHS_PER_LOSS[engine]:
        wrong.append(f"{len(verdict.epochs)} epochs where data were lost {losses} times: {verdict.epochs}")
    for reason in ("expired", "slow"):
        if count := verdict.counts[f"gap: {reason}"]:
            wrong.append(f"{count} gaps because of what was {reason}, where all fits into what is kept")
    for name, log in outcome.logs.items():
        wrong += [f"{name} logged:\n{trace}" for trace in tracebacks(log)]
    return wrong


def tracebacks(log: str) -> list[str]:
    """Those that lead through our own code. nats-py logs one of its own where it writes to a socket that uvloop, unlike
    asyncio, refuses as closed; the node knows by then that the connection is lost.
    """
    found: list[list[str]] = []
    inside = False
    for line in log.splitlines():
        if "Traceback (most recent call last)" in line:
            found.append([])
            inside = True
        elif inside and not line.startswith(INDENTED):
            inside = False
        if inside:
            found[-1].append(line.strip())
    return ["\n".join(lines) for lines in found if any("tricast" in line and "File" in line for line in lines)]
