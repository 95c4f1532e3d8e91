"""Every error tricast raises or sends, in one tree.

    TricastError
    ├── CommandError            the server answered a command (or a connect) with an error
    │   ├── BadRequest          bad_request     400   the command is malformed
    │   ├── UnknownAction       unknown_action  400   no such action
    │   ├── Unauthorized        unauthorized    401   no token, or one that is not valid
    │   ├── Forbidden           forbidden       403   a valid token that does not allow this
    │   ├── Conflict            conflict        409   the id was used for another message
    │   ├── TooLarge            too_large       413   the message is over the server's limit
    │   ├── TooMany             too_many        429   a limit of things at once
    │   ├── RateLimited         rate_limited    429   a limit of things per second
    │   └── Unavailable         unavailable     503   not now; the outcome may be unknown
    ├── TransportError
    │   ├── ConnectFailed       connect_failed        a connection did not come to work
    │   ├── ConnectionLost      connection_lost       a working connection ended
    │   └── UplinkBlocked       uplink_blocked        messages arrive, but none can be sent
    ├── ProtocolError           protocol_error        the peer broke the wire contract
    ├── GapError                gap                   messages were lost for good (on_gap="raise")
    ├── OutcomeUnknown          outcome_unknown       a publish may or may not have taken effect
    └── BusClosed               closed                the bus was closed on this side

`code` is stable: programs may compare it. `retryable` says whether the same call can succeed later unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tricast.wire.messages import Gap


class TricastError(Exception):
    """Root of the tree."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class CommandError(TricastError):
    """An error of the wire contract; the server sends it, the client raises it.

    `status` is the HTTP status that carries it. `retry_after` is in seconds, or None where a retry is no use.
    """

    status: ClassVar[int] = 400
    reason: str | None = None
    """What a server counts it by, where that says more than the code. Not sent."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequest(CommandError):
    code = "bad_request"


class UnknownAction(CommandError):
    code = "unknown_action"


class Unauthorized(CommandError):
    code = "unauthorized"
    status = 401


class Forbidden(CommandError):
    code = "forbidden"
    status = 403


class Conflict(CommandError):
    code = "conflict"
    status = 409


class TooLarge(CommandError):
    code = "too_large"
    status = 413


class TooMany(CommandError):
    code = "too_many"
    status = 429
    retryable = True


class RateLimited(CommandError):
    code = "rate_limited"
    status = 429
    retryable = True


class Unavailable(CommandError):
    code = "unavailable"
    status = 503
    retryable = True


class TransportError(TricastError):
    """The network, or what stands in it."""

    code = "transport"
    retryable = True


class ConnectFailed(TransportError):
    code = "connect_failed"


class ConnectionLost(TransportError):
    code = "connection_lost"


class UplinkBlocked(TransportError):
    code = "uplink_blocked"


class ProtocolError(TricastError):
    code = "protocol_error"


class GapError(TricastError):
    """Messages were lost for good; `gap` says which. Iterating further goes on after the gap."""

    code = "gap"

    def __init__(self, gap: Gap) -> None:
        super().__init__(f"messages of {', '.join(gap.topics)} up to {gap.cursor} were lost: {gap.reason}")
        self.gap = gap


class OutcomeUnknown(TricastError):
    """A publish was sent, no answer came, and a retry could take effect twice."""

    code = "outcome_unknown"


class BusClosed(TricastError):
    code = "closed"


COMMAND_ERRORS: dict[str, type[CommandError]] = {
    cls.code: cls
    for cls in (
        BadRequest,
        UnknownAction,
        Unauthorized,
        Forbidden,
        Conflict,
        TooLarge,
        TooMany,
        RateLimited,
        Unavailable,
    )
}


def command_error(code: str, message: str, retry_after: float | None = None) -> CommandError:
    """The class for a code from the wire; an unknown code becomes a plain CommandError that names it."""
    cls = COMMAND_ERRORS.get(code)
    if cls is None:
        return CommandError(f"{code}: {message}", retry_after=retry_after)
    return cls(message, retry_after=retry_after)
