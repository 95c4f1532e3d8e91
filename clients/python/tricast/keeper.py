"""Keeps a subscription carried: does what the race decides, and tells it what happened.

One owner task runs `Keeper.run`; every link has a task of its own, and one more while it is proved. All of them end
with `run`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tricast.complaints import Complaints
from tricast.delivery import Delivery
from tricast.errors import (
    BusClosed,
    CommandError,
    ConnectFailed,
    ConnectionLost,
    TransportError,
    TricastError,
    Unauthorized,
    UplinkBlocked,
)
from tricast.fallback import Action, Carry, CheckOnline, Close, Note, Open, Prove, Race, Uplink
from tricast.mailbox import Mailbox
from tricast.memory import Recall, Store
from tricast.online import is_online
from tricast.runner import Runner
from tricast.session import Session
from tricast.timeline import Timeline, What
from tricast.topics import Topics
from tricast.transports import LINKS, Link, Target
from tricast.transports.base import Answer
from tricast.wire.messages import (
    Bye,
    Command,
    Frame,
    Hello,
    Message,
    Subscribe,
    TransportName,
    Unsubscribe,
)

DEDUPE_WINDOW = 120.0
"""Seconds, until a hello says otherwise."""


class Keeper:
    """`run` is for the one owner task; all else may be called from any task of the loop.

    Messages of the topic `inbox` go to `on_inbox`, everything else into the mailbox. `transport` is that of the link
    that carries, or did last.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        race: Race,
        mailbox: Mailbox,
        timeline: Timeline,
        *,
        inbox: str,
        on_inbox: Callable[[Message], None],
        store: Store | None = None,
        links: Mapping[TransportName, type[Link]] = LINKS,
    ) -> None:
        self.session = session
        self.timeline = timeline
        self.dedupe_window = DEDUPE_WINDOW
        self.transport: TransportName | None = None
        self.reconnects = self.switches = 0
        self.delivery = Delivery(mailbox, inbox, on_inbox)
        self.time_to_first: float | None = None
        self._target = target
        self._race = race
        self._mailbox = mailbox
        self._inbox = inbox
        self._recall = Recall(store, str(target.url.origin()))
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._runners: dict[TransportName, Runner] = {}
        self._carrier: Runner | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._actions: deque[Action] = deque()
        self._acting = False
        self._wake = asyncio.Event()
        self._refused: CommandError | None = None
        self._topics = Topics(session)
        self._was_lost = False
        self._ended: BaseException | None = None
        self._pulse = asyncio.Event()
        self._complaints = Complaints()
        self._renewed: set[TransportName] = set()
        """Refused for want of a good token since anything worked: asked once more, not twice."""

    # For other tasks

    @property
    def epoch(self) -> str | None:
        return self.session.cursor.epoch if self.session.cursor is not None else None

    @property
    def uplink(self) -> Uplink:
        return self._race.uplink

    async def up(self) -> Link:
        """The link that carries, as soon as there is one. Raises what ended the client. Cancelling is safe."""
        await self._until(lambda: self._carrier is not None)
        assert self._carrier is not None
        return self._carrier.link

    async def sending(self) -> Link:
        """The link that carries, as soon as it is known to bring commands up.

        Raises UplinkBlocked where none does, and what ended the client. Cancelling is safe.
        """
        await self._until(lambda: self._carrier is not None and self.uplink != "unknown")
        assert self._carrier is not None
        if self.uplink == "blocked":
            raise UplinkBlocked("messages arrive, but something on the way lets none out")
        return self._carrier.link

    async def send(self, link: Link, command: Command, *, apart: bool = False) -> Answer:
        """As `Link.send`. It goes apart from the stream if asked to, and where the stream's reader is held up by a
        full mailbox: the answer would stand behind what nobody reads.
        """
        runner = self._runners.get(link.name)
        held = self._mailbox.held
        if runner is None or runner.link is not link:
            raise ConnectFailed("the link was replaced")
        try:
            answer = await runner.send(command, apart=apart or held)
            if isinstance(answer, Unauthorized) and self._can_go_apart(command, link):
                # The token that came with the stream has just expired: beside it goes another one.
                answer = await runner.send(command, apart=True)
            return answer
        except TransportError:
            if runner is self._carrier and not held:
                self._do(self._race.on_doubt(link.name, self._loop.time()))
            raise

    def _can_go_apart(self, command: Command, link: Link) -> bool:
        of_stream = isinstance(command, Subscribe | Unsubscribe)
        return self._target.renews and link.uplink == "stream" and not of_stream

    async def change_topics(self, command: Subscribe | Unsubscribe) -> None:
        """Returns once a link carries the change. Raises the CommandError that refused it, and then takes it back.

        When cancelled, the next link carries it. One call at a time.
        """
        before = self.session.version
        version = self._topics.ask(command)
        if version != before:
            self._do(self._race.on_topics(self._loop.time()))
            if not await self._changed_in_stream(command, before):
                self._reopen()
        await self._until(lambda: self._topics.is_carried(version))

    async def _changed_in_stream(self, command: Subscribe | Unsubscribe, before: int) -> bool:
        runner = self._carrier
        if runner is None or runner.link.uplink != "stream" or runner.stream.version != before:
            return False
        if self._mailbox.held or self.uplink != "ok":
            return False
        try:
            answer = await self.send(runner.link, command)
        except TransportError:
            return False
        if isinstance(answer, CommandError):
            if isinstance(command, Unsubscribe) or (isinstance(answer, Unauthorized) and self._target.renews):
                return False
            self._topics.take_back(answer)
            self._notify()
        if runner is self._carrier:
            runner.stream.version = self.session.version
            self._carries(self.session.version, self.session.topics)
        return True

    def _carries(self, version: int, topics: tuple[str, ...]) -> None:
        self._topics.carries(version, topics)
        self._notify()

    def _reopen(self) -> None:
        """Let the next link go on at the cursor with the topics of now."""
        runner = self._carrier
        if runner is not None and runner.stream.version < self.session.version:
            self._stale(runner, "with other topics")

    async def _until(self, test: Callable[[], bool]) -> None:
        while not test():
            if self._ended is not None:
                raise self._ended
            await self._pulse.wait()

    def _notify(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()

    # For the owner task

    async def run(self) -> None:
        """Returns when the server has refused for good, with that in the mailbox; else it is ended by cancelling."""
        try:
            await self._race_on()
        except asyncio.CancelledError:
            self._end(BusClosed("the bus was closed"))
            raise
        except BaseExceptionGroup as group:
            # A defect: whoever uses the client has to see it, and sees it where they wait.
            self._end(_first(group))
        else:
            assert self._refused is not None
            self._end(self._refused)
        finally:
            await self._recall.flush()

    def _end(self, error: BaseException) -> None:
        self._ended = error
        self._mailbox.close(error)
        self._notify()

    async def _race_on(self) -> None:
        """Returns where the server refuses for good."""
        remembered = await self._recall.load()
        async with asyncio.TaskGroup() as self._group:
            try:
                self._do(self._race.begin(self._loop.time(), *remembered))
                while self._refused is None:
                    self._wake.clear()
                    try:
                        async with asyncio.timeout_at(self._race.next_time()):
                            await self._wake.wait()
                    except TimeoutError:
                        self._do(self._race.on_time(self._loop.time()))
            finally:
                self._carrier = None
                for task in self._tasks:
                    task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], runner: Runner | None = None) -> None:
        assert self._group is not None
        task = self._group.create_task(work)
        for tasks in (self._tasks, runner.tasks if runner is not None else set()):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def _do(self, actions: list[Action]) -> None:
        """Actions may lead to events, and these to actions: they are done in order, each event's as a whole."""
        self._actions.extend(actions)
        if self._acting:
            return
        self._acting = True
        try:
            while self._actions and self._ended is None and self._refused is None:
                self._act(self._actions.popleft())
        finally:
            self._acting = False
        self._wake.set()
        self._notify()

    def _act(self, action: Action) -> None:
        match action:
            case Open():
                self._open(action)
            case Prove():
                if (runner := self._runners.get(action.transport)) is not None:
                    # Beside a link that carries it must have caught up, so that nothing waits for it at the switch.
                    caught_up = self._carrier not in (None, runner)
                    self._spawn(runner.prove(caught_up, self._race.policy.proof_timeout), runner)
            case Carry():
                self._carry(self._runners.get(action.transport), action.why)
            case Close():
                self._drop(action.transport)
                self.timeline.note(action.transport, "close", action.why)
            case CheckOnline():
                self._spawn(self._check_online())
            case Note():
                if action.what == "offline":
                    self._complaints.clear()
                self.timeline.note(action.transport, action.what, action.detail)

    def _open(self, action: Open) -> None:
        name = action.transport
        old = self._drop(name)
        link = self._links[name](self._target)
        link.why = self._complaints.tell(name, () if self._carrier is not None else self._runners)
        runner = Runner(link, self.session, self._mailbox, self._inbox, self)
        self._runners[name] = runner
        begin = f"from {runner.stream.request.cursor or 'now'}"
        what: What = "try" if old is None else "reopen"
        self.timeline.note(name, what, f"{begin}, {action.why}" if action.why else begin)
        self._spawn(runner.run(), runner)

    def _drop(self, name: TransportName) -> Runner | None:
        runner = self._runners.pop(name, None)
        if runner is not None:
            if runner is self._carrier:
                self._carrier = None
            runner.retire()
        return runner

    def _carry(self, runner: Runner | None, why: str) -> None:
        if runner is None:
            return
        if self._carrier is not None:
            self._carrier.carrying = False
        self._carrier = runner
        if self.time_to_first is None:
            self.time_to_first = self.timeline.elapsed
        self.reconnects += self._was_lost
        self._was_lost = False
        self.switches += self.transport not in (None, runner.name)
        self.transport = runner.name
        self._renewed.clear()
        self.timeline.note(runner.name, "up", f"at {self.session.cursor}: {why}")
        try:
            for part in runner.carry():
                self.take(runner, part)
        except TricastError as error:
            self.ended(runner, error)
        else:
            self._carries(runner.stream.version, runner.stream.request.topics)

    async def _check_online(self) -> None:
        online = await is_online(self._target, self._race.policy.online_timeout)
        self._do(self._race.on_online(self._loop.time(), online))

    # What links tell

    def greeted(self, runner: Runner) -> None:
        self.timeline.note(runner.name, "hello", f"cursor {self.session.cursor}")
        self._complaints.take_back(runner.name)
        if self._carrier is None and not runner.stream.joined:
            self._stale(runner, "it began past what others bring")
            return
        self._do(self._race.on_hello(runner.name, self._loop.time()))

    def proven(self, runner: Runner, rtt: float | None) -> None:
        seen = "the server has answered" if rtt is None else f"came back after {rtt * 1000:.1f} ms"
        self.timeline.note(runner.name, "echo", seen)
        if runner is not self._carrier:
            if runner.stream.version != self.session.version:
                self._stale(runner, "with other topics")
                return
            if not runner.stream.joined:
                self._stale(runner, "it began past what the other one has brought")
                return
            if runner.gapped and self._carrier is not None:
                self._withdraw(runner, f"it lacks messages which {self._carrier.name} may still bring")
                return
        self._do(self._race.on_proven(runner.name, self._loop.time(), rtt))
        if runner is self._carrier and self._recall.is_news(runner.name):
            self._spawn(self._recall.flush())

    def unproven(self, runner: Runner, why: str) -> None:
        self.timeline.note(runner.name, "no echo", why)
        self._complaints.about(runner.name, "mute")
        self._do(self._race.on_unproven(runner.name, self._loop.time(), why))

    def overtaken(self, runner: Runner) -> bool:
        if self._carrier is not None:
            self._withdraw(runner, "too much has happened since its cursor")
            return False
        self._act(Prove(runner.name))
        return True

    def take(self, runner: Runner, part: Frame) -> None:
        before = self.session.cursor
        for item in runner.stream.receive(part):
            self.delivery.deliver(item, before)
        match part:
            case Hello(dedupe_window=int() | float() as seconds):
                self.dedupe_window = seconds
            case Bye():
                self.timeline.note(runner.name, "bye", f"{part.reason}, {part.reconnect_after} s")
        if not runner.stream.joined:
            raise ConnectionLost("the server is not where this client is")

    def ended(self, runner: Runner, error: TricastError) -> None:
        carried = runner is self._carrier
        name, now, link = runner.name, self._loop.time(), runner.link
        wait, answered = link.reconnect_after if runner.parting else None, False
        # A token that was good until now: another one goes on at the cursor.
        expired = isinstance(error, Unauthorized) and self._target.renews and runner.greeted_at is not None
        if isinstance(error, CommandError):
            if not error.retryable and not expired:
                self._is_refused(runner, error)
                return
            answered = True
            wait = error.retry_after if wait is None else wait
        if not answered and not runner.parting:
            self._complaints.about_end(name, greeted=runner.greeted_at is not None, stalled=runner.stalled)
        self._drop(name)
        if carried:
            self._was_lost = True
            self.timeline.note(name, "lost", f"{error} (after {runner.age:.1f} s)")
            self._do(
                self._race.on_lost(
                    name, now, runner.age, retry_after=wait, bye=runner.parting or expired, stalled=runner.stalled
                )
            )
        else:
            self.timeline.note(name, "failed", error)
            self._do(self._race.on_failed(name, now, retry_after=wait, answered=answered))

    def _is_refused(self, runner: Runner, error: CommandError) -> None:
        """No fault of the network, so no other transport would fare better."""
        self.timeline.note(runner.name, "refused", error)
        # What was asked for in vain may be asked for no more by now.
        if runner.stream.version != self.session.version or self._topics.take_back(error):
            self._notify()
            self._stale(runner, "without the topics that were refused")
        elif isinstance(error, Unauthorized) and self._target.renews and runner.name not in self._renewed:
            self._renewed.add(runner.name)
            self._stale(runner, "with another token")
        else:
            self._refused = error
            self._wake.set()

    def _stale(self, runner: Runner, why: str) -> None:
        self._do(self._race.on_stale(runner.name, self._loop.time(), why))

    def _withdraw(self, runner: Runner, why: str) -> None:
        self._drop(runner.name)
        self.timeline.note(runner.name, "close", why)
        self._do(self._race.on_withdrawn(runner.name, self._loop.time()))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
