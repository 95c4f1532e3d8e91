/**
 * Every error of this client, in one tree.
 *
 *     TricastError
 *     ├── CommandError            the server answered a command (or a connect) with an error
 *     │   ├── BadRequest          bad_request     400   the command is malformed
 *     │   ├── UnknownAction       unknown_action  400   no such action
 *     │   ├── Unauthorized        unauthorized    401   no token, or one that is not valid
 *     │   ├── Forbidden           forbidden       403   a valid token that does not allow this
 *     │   ├── Conflict            conflict        409   the id was used for another message
 *     │   ├── TooLarge            too_large       413   the message is over the server's limit
 *     │   ├── TooMany             too_many        429   a limit of things at once
 *     │   ├── RateLimited         rate_limited    429   a limit of things per second
 *     │   └── Unavailable         unavailable     503   not now; the outcome may be unknown
 *     ├── TransportError
 *     │   ├── ConnectFailed       connect_failed        a connection did not come to work
 *     │   ├── ConnectionLost      connection_lost       a working connection ended
 *     │   └── UplinkBlocked       uplink_blocked        messages arrive, but none can be sent
 *     ├── ProtocolError           protocol_error        the peer broke the wire contract
 *     ├── GapError                gap                   messages were lost for good (onGap: "throw")
 *     ├── OutcomeUnknown          outcome_unknown       a publish may or may not have taken effect
 *     └── BusClosed               closed                the bus was closed on this side
 *
 * `code` is stable: programs may compare it. `retryable` says whether the same call can succeed later unchanged.
 */

import type { Gap } from "./wire/messages.js";

export class TricastError extends Error {
  readonly code: string = "error";
  readonly retryable: boolean = false;

  /** Says the code, since class names do not survive minifying. */
  override get name(): string {
    return `TricastError(${this.code})`;
  }
}

/** An error of the wire contract. `retryAfter` is in seconds, or null where the server names no time. */
export class CommandError extends TricastError {
  /** The HTTP status that carries it. */
  readonly status: number = 400;

  constructor(
    message = "",
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export class BadRequest extends CommandError {
  override readonly code = "bad_request";
}

export class UnknownAction extends CommandError {
  override readonly code = "unknown_action";
}

export class Unauthorized extends CommandError {
  override readonly code = "unauthorized";
  override readonly status = 401;
}

export class Forbidden extends CommandError {
  override readonly code = "forbidden";
  override readonly status = 403;
}

export class Conflict extends CommandError {
  override readonly code = "conflict";
  override readonly status = 409;
}

export class TooLarge extends CommandError {
  override readonly code = "too_large";
  override readonly status = 413;
}

export class TooMany extends CommandError {
  override readonly code = "too_many";
  override readonly status = 429;
  override readonly retryable = true;
}

export class RateLimited extends CommandError {
  override readonly code = "rate_limited";
  override readonly status = 429;
  override readonly retryable = true;
}

export class Unavailable extends CommandError {
  override readonly code = "unavailable";
  override readonly status = 503;
  override readonly retryable = true;
}

/** The network, or what stands in it. */
export class TransportError extends TricastError {
  override readonly code: string = "transport";
  override readonly retryable = true;
}

export class ConnectFailed extends TransportError {
  override readonly code = "connect_failed";
}

export class ConnectionLost extends TransportError {
  override readonly code = "connection_lost";
}

export class UplinkBlocked extends TransportError {
  override readonly code = "uplink_blocked";
}

export class ProtocolError extends TricastError {
  override readonly code = "protocol_error";
}

/** Messages were lost for good; `gap` says which. Iterating further goes on after the gap. */
export class GapError extends TricastError {
  override readonly code = "gap";

  constructor(readonly gap: Gap) {
    super(`messages of ${gap.topics} up to ${gap.cursor} were lost: ${gap.reason}`);
  }
}

/** A publish was sent, no answer came, and a retry could take effect twice. */
export class OutcomeUnknown extends TricastError {
  override readonly code = "outcome_unknown";
}

export class BusClosed extends TricastError {
  override readonly code = "closed";
}

const COMMAND_ERRORS = [
  BadRequest,
  UnknownAction,
  Unauthorized,
  Forbidden,
  Conflict,
  TooLarge,
  TooMany,
  RateLimited,
  Unavailable,
];

/** The error for a code from the wire; an unknown code becomes a plain CommandError that names it. */
export function commandError(code: string, message: string, retryAfter: number | null = null): CommandError {
  const errors = COMMAND_ERRORS.map((kind) => new kind(message, retryAfter));
  return errors.find((error) => error.code === code) ?? new CommandError(`${code}: ${message}`, retryAfter);
}
