"""Fails where what a lock names has no version or no hash: check_locks.py FILE..., of pip and of npm."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PINNED = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z0-9,._-]+\])?==[^\s;]+", re.IGNORECASE)
HASH = re.compile(r"--hash=sha(256|384|512):[0-9a-f]{64,}")


def of_pip(text: str) -> Iterator[tuple[str, bool]]:
    for line in re.sub(r"#.*", "", text).replace("\\\n", " ").splitlines():
        if line.strip():
            yield line.strip()[:80], bool(PINNED.match(line) and HASH.search(line))


def of_npm(text: str) -> Iterator[tuple[str, bool]]:
    for name, package in json.loads(text)["packages"].items():
        if name and not package.get("link"):
            yield name, package.get("integrity", "").startswith("sha512-") and "version" in package


def main() -> int:
    bad, total = 0, 0
    for name in sys.argv[1:]:
        read = of_npm if name.endswith(".json") else of_pip
        for what, good in read(Path(name).read_text()):
            total += 1
            if not good:
                bad += 1
                sys.stderr.write(f"no version or no hash: {name}: {what}\n")
    sys.stdout.write(f"{total} locked requirements, {bad} of them without version and hash\n")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    sys.exit(main())
