"""Which topics are asked for, which the link that carries has, and what the server would not have. Sans-I/O."""

from __future__ import annotations

from tricast.errors import CommandError
from tricast.session import Session
from tricast.wire.messages import Subscribe, Unsubscribe


class Topics:
    """Those of a session; changed one change at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._carried = -1
        self._rejection: CommandError | None = None
        self._good: tuple[str, ...] | None = None

    def ask(self, command: Subscribe | Unsubscribe) -> int:
        """From here on these are asked for too, or no more. The session's version with that change."""
        self._rejection = None
        change = self._session.subscribe if isinstance(command, Subscribe) else self._session.unsubscribe
        change(command.topics)
        return self._session.version

    def is_carried(self, version: int) -> bool:
        """Whether a link has carried that version. Raises the CommandError with which the last change was refused."""
        if self._rejection is not None:
            raise self._rejection
        return self._carried >= version

    def carries(self, version: int, topics: tuple[str, ...]) -> None:
        """The link that carries has these topics, which the session had at that version."""
        self._carried, self._good = version, topics

    def take_back(self, error: CommandError) -> bool:
        """Whether topics that no link has carried yet can be what was refused; they are then asked for no more."""
        added = set(self._session.topics).difference(self._good or self._session.topics)
        if added:
            self._session.unsubscribe(added)
            self._rejection = error
        return bool(added)
