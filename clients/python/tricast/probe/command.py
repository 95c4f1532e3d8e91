"""`tricast probe URL`."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from tricast.client import base_url
from tricast.probe.report import Report
from tricast.probe.run import Plan
from tricast.probe.run import probe as run_probe
from tricast.probe.show import progress, show

QUICK_PLAN = Plan()
LONG_PLAN = Plan(long=70.0)


def probe(
    url: Annotated[str, typer.Argument(metavar="URL", envvar="TRICAST_URL", help="Where the server is.")],
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object, for scripts.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Look over a minute for connections that are cut.")] = False,
    token: Annotated[
        str | None, typer.Option("--token", envvar="TRICAST_TOKEN", help="Bearer token, if it wants one.")
    ] = None,
) -> None:
    """Find out what the network does to each transport, and what to do about it.

    Exit status 1 when nothing works.
    """
    report = _report(url, token, LONG_PLAN if long else QUICK_PLAN)
    if as_json:
        # In ASCII: what proxies write must not reach a terminal as control characters.
        print(json.dumps(report.to_json(), indent=2))
    else:
        show(report, Console(highlight=False, soft_wrap=True))
    if not report.works:
        raise typer.Exit(1)


def _report(url: str, token: str | None, plan: Plan) -> Report:
    try:
        base_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        with progress(Console(highlight=False, soft_wrap=True, stderr=True)) as on_step:
            return asyncio.run(run_probe(url, token=token, plan=plan, on_step=on_step))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
