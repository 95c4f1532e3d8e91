"""Why `tricast serve` cannot start, for whoever runs it."""

from __future__ import annotations


class CannotStart(Exception):
    """With the reason as its text, and what can be done about it."""
