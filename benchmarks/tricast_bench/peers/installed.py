"""Where scripts/get-peers.sh puts other people's servers, which of them are there, and in which version."""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "benchmarks" / "peers"
NODE_PACKAGES = PROGRAMS / "node_modules"
ENVIRONMENT = ROOT / "build" / "peers-venv"
ADVICE = "scripts/get-peers.sh, which `make bench-peers` runs, installs it"


def in_python(program: str) -> Callable[[int], list[str]]:
    """The command line of one of our programs in the environment of the peers."""
    return lambda port: [str(ENVIRONMENT / "bin" / "python"), str(PROGRAMS / program), "--port", str(port)]


def in_node(program: str) -> Callable[[int], list[str]]:
    return lambda port: [shutil.which("node") or "node", str(PROGRAMS / program), str(port)]


def needs_python(*packages: str) -> Callable[[], str | None]:
    def needs() -> str | None:
        found = _python_versions()
        return next((f"{name} is not installed: {ADVICE}" for name in packages if name not in found), None)

    return needs


def needs_node(package: str) -> Callable[[], str | None]:
    def needs() -> str | None:
        if shutil.which("node") is None:
            return "node is not installed"
        found = (NODE_PACKAGES / package / "package.json").exists()
        return None if found else f"the Node package {package} is not installed: {ADVICE}"

    return needs


def versions_in_python(*packages: str) -> Callable[[], str]:
    def versions() -> str:
        found = _python_versions()
        return ", ".join(f"{name} {found.get(name, '?')}" for name in packages)

    return versions


def version_in_node(package: str) -> Callable[[], str]:
    def version() -> str:
        described = json.loads((NODE_PACKAGES / package / "package.json").read_text())
        node = said_by("node", "--version", pattern=r"v(\S+)")
        return f"{package} {described['version']}, Node {node}"

    return version


def directory(name: str) -> Path:
    """A new one for the files of a server, until this process ends."""
    made = Path(tempfile.mkdtemp(prefix=f"tricast-{name}-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def said_by(*command: str, pattern: str) -> str:
    """What the pattern's group finds in what the command prints, `?` where it finds nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10.0, check=False)
    except OSError:
        return "?"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "?"


def _python_versions() -> dict[str, str]:
    places = [str(place) for place in ENVIRONMENT.glob("lib/python*/site-packages")]
    return {found.metadata["Name"]: found.version for found in importlib.metadata.distributions(path=places)}
