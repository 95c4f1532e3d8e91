"""Writes `docs/proxies.md` from a run of the whole matrix: `make proxies-doc`.

All in it but times, versions and date follows from the cases, so a test can tell when it is out of date.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.helpers import ROOT
from tests.proxies.cases import CASES, Case
from tests.proxies.daemons import Daemon, fill
from tests.proxies.measure import PROXY_NAMES
from tests.proxies.prose import END, INTRODUCTION, NOTES
from tests.proxies.test_proxies import check

from tricast.probe import Verdict

DOC = ROOT / "docs" / "proxies.md"
ROUNDS = 5
PLACES = {"host": "127.0.0.1", "site": "www.example.org", "server": "127.0.0.1:8080", "server_port": "8080"}
SYNTAX = {"nginx": "nginx", "Apache": "apache", "Varnish": "vcl"}
FORWARDED = {
    "nothing": "not sent on",
    "as sent": "what the client sent: anybody can make it up",
    "appended": "its client is appended",
    "added": "its client comes in a second line",
    "replaced": "its client alone",
}
WAYS = {"ws": "WebSocket", "sse": "SSE", "poll": "long poll"}


def render(times: Mapping[str, float | None], versions: Mapping[str, str], measured: str) -> str:
    """The document. `times`: seconds to the first message by `Case.id`."""
    reverse = [case for case in CASES if case.way == "reverse"]
    forward = [case for case in CASES if case.way != "reverse"]
    parts = [
        INTRODUCTION,
        f"{measured}\n",
        "## In front of the server\n",
        _table(
            (*_VERDICTS, "the client ends on", "first message"),
            [(*_verdicts(case), *_outcome(case, times)) for case in reverse],
        ),
        "What the server gets to know of a client, and of a page that came through the proxy:\n",
        _table(
            ("proxy", "configuration", "`X-Forwarded-For`", "a page from there"),
            [
                (case.daemon.name, case.name, FORWARDED[case.forwarded or "nothing"], _page(case.page))
                for case in reverse
            ],
        ),
        NOTES["reverse"],
        "## In front of the clients\n",
        _table(
            (*_VERDICTS, "the client ends on", "first message", "a browser's WebSocket"),
            [(*_verdicts(case), *_outcome(case, times), _browser(case)) for case in forward],
        ),
        NOTES["forward"],
        "## Lines to copy\n",
        *(_section(daemon, versions) for daemon in {case.daemon.name: case.daemon for case in CASES}.values()),
        END,
    ]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


_VERDICTS = ("proxy", "configuration", "WebSocket", "SSE", "long poll", "`POST`")


def _verdicts(case: Case) -> tuple[str, ...]:
    return (case.daemon.name, case.name, *(_word(verdict) for verdict in case.expected))


def _word(verdict: Verdict) -> str:
    return verdict.words if verdict is Verdict.clean else f"**{verdict.words}**"


def _outcome(case: Case, times: Mapping[str, float | None]) -> tuple[str, str]:
    seconds = times[case.id]
    way = "nothing" if case.lands_on is None else WAYS[case.lands_on]
    return way, "-" if seconds is None else f"{seconds * 1000:.0f} ms"


def _page(may_send: bool) -> str:
    return "may connect" if may_send else "**403**, as `Host` was rewritten"


def _browser(case: Case) -> str:
    return f"**{case.browser}**" if case.browser == 403 else "passes"


def _section(daemon: Daemon, versions: Mapping[str, str]) -> str:
    text = [f"### {daemon.name} {versions[daemon.name]}\n", NOTES.get(daemon.name, "")]
    for case in CASES:
        if case.daemon == daemon and case.friendly:
            port = "80" if case.way == "reverse" else "3128"
            places = {**PLACES, "listen": port, "port": port}
            lines = fill(case.friendly.strip(), "", places)
            text += [f"{case.name[:1].upper()}{case.name[1:]}:\n", f"```{SYNTAX.get(daemon.name, '')}", lines, "```\n"]
    return "\n".join(text)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def masked(text: str) -> str:
    """`text` without what differs from run to run."""
    text = re.sub(r"\b\d+ ms", "N ms", text)
    text = re.sub(r"(?m)^(### \w+) .*$", r"\1 V", text)
    return re.sub(r"(?m)^Measured .*$", "Measured", text)


def stand_in() -> str:
    """The document of a run that nobody made, to be compared `masked`."""
    times = {case.id: None if case.lands_on is None else 0.0 for case in CASES}
    return render(times, {case.daemon.name: "0" for case in CASES}, "Measured")


def main(path: Path) -> None:
    missing = sorted({case.daemon.binary for case in CASES if case.daemon.program is None})
    if missing:
        sys.exit(f"missing: {', '.join(missing)} (scripts/get-apt-packages.sh installs them)")
    for name in PROXY_NAMES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    times: dict[str, float | None] = {}
    for case in CASES:
        start = time.monotonic()
        seen = asyncio.run(check(case, ROUNDS))
        times[case.id] = seen.first
        print(f"{case.id}: {' '.join(seen.verdicts)}, {seen.lands_on}, {time.monotonic() - start:.1f} s")
    versions = {case.daemon.name: case.daemon.installed() for case in CASES}
    path.write_text(render(times, versions, _measured()))


def _measured() -> str:
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `make proxies-doc` on {system}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, aiohttp {version('aiohttp')}; versions of the proxies below."
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOC)
