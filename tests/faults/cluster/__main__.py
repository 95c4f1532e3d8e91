"""`make faults`: the cluster under fault for longer, on each engine in turn."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.contract.engines import engine
from tests.faults.cluster.judge import faults_of
from tests.faults.cluster.trial import Plan, trial


def tell(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cluster", description=__doc__)
    parser.add_argument("--engine", nargs="+", choices=["redis", "nats"], default=["redis", "nats"])
    parser.add_argument("--minutes", type=float, default=10.0, help="of faults, for each engine (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=None, help="of faults and clients (default: another one each time)")
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--rate", type=float, default=200.0, help="publishes a second of all of them")
    parser.add_argument(
        "--keep", type=Path, help="a folder for logs and journals; else they are kept if something is wrong"
    )
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    plan = Plan(seed=seed, seconds=60 * options.minutes, clients=options.clients, rate=options.rate)
    bad = 0
    for name in options.engine:
        folder = (options.keep or Path(tempfile.mkdtemp(prefix="tricast-faults-"))) / name
        folder.mkdir(parents=True, exist_ok=True)
        tell(f"--- {name}, seed {seed}, in {folder}")
        with engine(name) as server:
            began = time.monotonic()
            outcome = asyncio.run(trial(server, plan, folder, tell))
        tell(f"{time.monotonic() - began:.0f} s; faults: {dict(outcome.faults)}; clients saw: {dict(outcome.seen)}")
        tell(str(outcome.verdict))
        wrong = faults_of(outcome, name)
        for text in wrong:
            tell(f"WRONG: {text}")
        bad += bool(wrong)
        if not wrong and options.keep is None:
            shutil.rmtree(folder.parent)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
