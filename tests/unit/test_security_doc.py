"""The table of limits in docs/security.md has every one of them, with its default."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from tests.helpers import ROOT

from tricast_server import Settings
from tricast_server.settings import LIMITS, PUBLIC

OTHERS = ("retention_count", "retention_bytes", "max_message", "max_body", "max_topics", "write_buffer", "slow_readers")
ROW = re.compile(r"^\| `--([a-z-]+)` \| ([^|]+) \| ([^|]*) \| [^|]+ \|$", re.MULTILINE)


def shown(value: object) -> str:
    if value in (0, None):
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def test_it_says_what_the_settings_are() -> None:
    expected = {}
    for field in fields(Settings):
        if field.name in OTHERS or (field.metadata["panel"] == LIMITS and field.name != "public"):
            assert field.default is not MISSING
            value = getattr(Settings(), field.name)
            default = "10 s of the rate" if field.name.endswith("_burst") else shown(value)
            expected[field.name.replace("_", "-")] = default, shown(PUBLIC[field.name]) if field.name in PUBLIC else ""
    text = (ROOT / "docs" / "security.md").read_text()
    table = text[text.index("## How much") :]
    assert {name: (default.strip(), public.strip()) for name, default, public in ROW.findall(table)} == expected
