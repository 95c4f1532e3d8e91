"""Which topics the link that carries has, and what the server would not have. Sans-I/O."""

from __future__ import annotations

from tricast.errors import CommandError
from tricast.session import Session


class Topics:
    """`carried`: the session's version whose topics a link has carried; `rejection`: of the last change, if any."""

    def __init__(self, session: Session) -> None:
        self.carried = -1
        self.rejection: CommandError | None = None
        self._session = session
        self._good: tuple[str, ...] | None = None

    def carries(self, version: int, topics: tuple[str, ...]) -> None:
        """The link that carries has these topics, which the session had at that version."""
        self.carried, self._good = version, topics

    def take_back(self, error: CommandError) -> bool:
        """Whether topics that no link has carried yet can be what was refused; they are then asked for no more."""
        added = set(self._session.topics).difference(self._good or self._session.topics)
        if added:
            self._session.unsubscribe(added)
            self.rejection = error
        return bool(added)
