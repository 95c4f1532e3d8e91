"""What is known of one transport: how it has failed, whether it is in quarantine, when to look at it again. Sans-I/O.

A loss leaves a suspicion. It becomes a strike only when something works soon afterwards, since where nothing does the
network was gone, and that is nobody's fault. Strikes fade; two of them within a while put the transport in quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Literal

from tricast.wire.messages import TransportName

State = Literal["idle", "opening", "greeted", "carrying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The times of the fallback, in seconds."""

    stagger: float = 0.25  # the head start of one transport over the next, until a round trip is known
    stagger_round_trips: float = 4.0  # and then so many of them,
    stagger_min: float = 0.1  # between these two
    stagger_max: float = 1.0
    down_patience: float = 1.0  # from the first hello, until one carries although nothing could be sent yet
    proof_timeout: float = 3.0  # for an echo, and until the uplink counts as blocked
    trust: float = 600.0  # so long after an echo a hello is enough
    online_timeout: float = 3.0  # for GET /healthz

    last_resort: float = 2.0  # of silence from all others, until one in quarantine is tried
    backoff_min: float = 0.25  # after a round in which nothing worked; doubles
    backoff_max: float = 15.0
    steady: float = 10.0  # a link that lived so long makes the pauses short again
    retry_after_max: float = 300.0  # a server cannot ask for more

    early: float = 30.0  # a link that dies younger was cut
    regular: float = 300.0  # so was one that dies below this age, if it is the age of the last one
    confirm: float = 10.0  # so soon after a loss something has to work, for the loss to count
    strike_half_life: float = 600.0
    quarantine_min: float = 60.0  # doubles
    quarantine_max: float = 3600.0
    forgive: float = 600.0  # a link that lived so long ends all blame

    probe_min: float = 5.0  # until a better transport is tried beside the one that carries; doubles
    probe_max: float = 300.0
    uplink_max: float = 20.0  # at most so long until an uplink that was blocked is tried again


STRIKES = 1.5
"""Two within a half-life. After a quarantine one is left, so that the next one leads back to it."""
SAME_AGE = 0.1
"""Two ages are the same if they differ by less than this part (or a second)."""
DOUBLINGS_MAX = 16


@dataclass(slots=True)
class Lane:
    """One transport, by its `rank` (0 is best). `proven`: an echo has come back on the link that is open, or the
    last one is trusted. `muted`: on this link nothing can be sent. `jitter` gives numbers from 0 to 1.
    """

    name: TransportName
    rank: int
    policy: Policy
    jitter: Callable[[], float]
    state: State = "idle"
    proven: bool = False
    muted: bool = False
    opened_at: float = 0.0
    proven_at: float | None = None
    not_before: float = 0.0
    probe_at: float = 0.0
    fails: int = 0
    quarantines: int = 0
    quarantined_until: float = 0.0
    _strikes: float = 0.0
    _struck_at: float = 0.0
    _suspected_at: float | None = None
    _ages: list[float] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.state != "idle"

    @property
    def is_greeted(self) -> bool:
        """Its hello has come."""
        return self.is_open and self.state != "opening"

    @property
    def is_suspected(self) -> bool:
        return self._suspected_at is not None

    def is_quarantined(self, now: float) -> bool:
        return now < self.quarantined_until

    def is_doubtful(self, now: float) -> bool:
        """In quarantine, or will be if the suspicion is confirmed: to be tried after all others."""
        return self.is_quarantined(now) or (self.is_suspected and self.strikes(now) + 1 >= STRIKES)

    def is_trusted(self, now: float) -> bool:
        return self.proven_at is not None and now - self.proven_at <= self.policy.trust

    def defer(self, now: float, retry_after: float | None) -> None:
        """The server asks not to be tried for so many seconds."""
        if retry_after:
            self.not_before = max(self.not_before, now + min(retry_after, self.policy.retry_after_max))

    def opens(self, now: float) -> None:
        self.state, self.opened_at, self.proven, self.muted = "opening", now, False, False

    def is_proven_by_echo(self, now: float) -> None:
        self.proven, self.muted, self.proven_at, self.fails = True, False, now, 0

    def fails_to_work(self) -> None:
        self.state, self.proven, self.proven_at = "idle", False, None
        self.fails = min(self.fails + 1, DOUBLINGS_MAX)

    def is_lost(self, now: float, lived: float, *, blameless: bool, stalled: bool) -> bool:
        """Whether that makes it suspect."""
        policy, ages = self.policy, self._ages
        self.state, self.proven = "idle", False
        if blameless:
            return False
        if lived >= policy.forgive:
            self._strikes, self.quarantines, self.fails = 0.0, 0, 0
        regular = lived < policy.regular and any(abs(lived - age) < max(1.0, SAME_AGE * age) for age in ages)
        self._ages = [*ages[-1:], lived]
        if lived >= policy.early and not regular and not stalled:
            return False
        self._suspected_at, self.proven_at = now, None
        return True

    def strikes(self, now: float) -> float:
        faded: float = 0.5 ** (max(0.0, now - self._struck_at) / self.policy.strike_half_life)
        return self._strikes * faded

    def confirm(self, now: float) -> bool:
        """Something works: a suspicion that is fresh becomes a strike. Whether that means quarantine."""
        since, self._suspected_at = self._suspected_at, None
        if since is None or now - since > self.policy.confirm:
            return False
        self._strikes, self._struck_at = self.strikes(now) + 1, now
        if self._strikes < STRIKES:
            return False
        policy = self.policy
        self.quarantined_until = now + min(policy.quarantine_max, policy.quarantine_min * 2.0**self.quarantines)
        self.quarantines = min(self.quarantines + 1, DOUBLINGS_MAX)
        # Fading begins at the end of the quarantine: until then nothing can be known.
        self._strikes, self._struck_at = 1.0, self.quarantined_until
        return True

    def acquit(self) -> None:
        """Nothing works: it was not this transport's fault."""
        self._suspected_at = None

    def plan_probe(self, now: float) -> None:
        policy = self.policy
        delay = min(policy.probe_max, policy.probe_min * 2.0**self.fails) * (0.75 + 0.5 * self.jitter())
        self.probe_at = max(now + delay, self.not_before)


class Pauses:
    """Between the rounds of all transports: they double until a link lives for a while."""

    def __init__(self, policy: Policy, jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._taken = 0
        self._died: list[TransportName] = []

    def next(self) -> float:
        """Seconds. At least half of them always pass, the rest is spread over the clients."""
        full = min(self._policy.backoff_max, self._policy.backoff_min * 2.0**self._taken)
        self._taken = min(self._taken + 1, DOUBLINGS_MAX)
        return full * (0.5 + 0.5 * self._jitter())

    def after_life(self, lived: float) -> bool:
        """Whether a link that carried for so long ends the hurry that pauses are for."""
        steady = lived >= self._policy.steady
        if steady:
            self._taken, self._died = 0, []
        return steady

    def after_loss(self, transport: TransportName, lived: float, others: Collection[TransportName]) -> float:
        """Seconds. A first early end may have been chance, and after a second one it is the turn of the others that
        have not died: both begin at once.
        """
        if self.after_life(lived):
            return 0.0
        fresh = any(other not in self._died for other in others)
        wait = 0.0 if fresh and self._died.count(transport) < 2 else self.next()
        self._died.append(transport)
        return wait
