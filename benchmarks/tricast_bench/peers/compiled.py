"""The programs in C beside this module: compiled when they are first needed, and again when their source is newer."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tricast_bench.servers import Unusable

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
TIMEOUT = 60.0


def compiler_missing() -> str | None:
    """Why nothing can be compiled, if so."""
    return None if shutil.which("gcc") else "gcc is not installed"


def compiler_version() -> str:
    done = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return f"gcc {done.stdout.strip()} {FLAGS[0]}"


def compiled(name: str) -> str:
    """The program whose source is `name`.c, and `name`.h where there is one. Raises Unusable."""
    source = HERE / f"{name}.c"
    made = _cache() / f"tricast-bench-{name}"
    changed = max(file.stat().st_mtime for file in HERE.glob(f"{name}.[ch]"))
    if made.exists() and made.stat().st_mtime > changed:
        return str(made)
    missing = compiler_missing()
    if missing:
        raise Unusable(missing)
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent) as directory:  # so that nobody starts half a program
        fresh = Path(directory) / name
        command = ["gcc", *FLAGS, "-o", str(fresh), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise Unusable(f"{source.name} does not compile: {done.stderr.strip()[-2000:]}")
        fresh.replace(made)
    return str(made)


def _cache() -> Path:
    if (CHECKOUT / "pyproject.toml").exists():
        return CHECKOUT / "build" / "bench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tricast-bench"
