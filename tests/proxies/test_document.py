"""`docs/proxies.md` says what the tests assert."""

from __future__ import annotations

from tests.proxies.cases import CASES
from tests.proxies.table import DOC, masked, stand_in


def test_it_is_what_a_run_would_write() -> None:
    """But for times, versions and date. If this fails: `make proxies-doc`."""
    assert masked(DOC.read_text()) == masked(stand_in())


def test_each_case_is_a_row() -> None:
    text = DOC.read_text()
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        assert f"| {case.daemon.name} | {case.name} | " in text
