"""Judges a run by what its clients wrote down, and by nothing else: no code of the project is used here.

What has to be true:

- *One order*: a place in the log holds the same message for everyone, and each client gets them by rising offset.
- *Everything*: what was acknowledged was given to every client that reads its topic, or lies in a gap that this very
  client was told of. Of a topic, a gap covers what stands between the client's last message of it and the gap.
- *Once*: no client gets a place twice; an id stands at one place of an epoch.
- *No gap without need*: one that tells of a new epoch leads to another one.
- *Nothing from nowhere*: what is delivered was published, with that topic and those data.
- *Real time*: what is published after something was acknowledged stands behind it, in one epoch.
- *An end*: whoever stays to the end ends at the same place.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tests.faults.cluster.records import Ack, Attempt, Gap, Line, Message, Place, Story

EXAMPLES = 5
"""Problems of one kind that are told in full."""


@dataclass
class Verdict:
    """`problems` by kind, each with some examples; `counts` of what was looked at."""

    problems: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    epochs: list[str] = field(default_factory=list)

    def blame(self, kind: str, text: str) -> None:
        self.counts[f"problem: {kind}"] += 1
        examples = self.problems.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(text)

    def __str__(self) -> str:
        lines = [f"{name}: {count}" for name, count in sorted(self.counts.items())]
        lines.append(f"epochs: {' '.join(self.epochs)}")
        return "\n".join([*lines, *(f"{kind}: {text}" for kind, texts in self.problems.items() for text in texts)])


def check(lines: Iterable[Line]) -> Verdict:
    """Reads all logs of one run, one after the other."""
    run = _Run()
    for line in lines:
        run.take(line)
    run.judge()
    return run.verdict


class _Run:
    def __init__(self) -> None:
        self.verdict = Verdict()
        self._stories: dict[str, Story] = {}
        self._attempts: dict[str, Attempt] = {}
        self._acks: list[Ack] = []
        self._seen_at: dict[str, float] = {}

    def take(self, line: Line) -> None:
        did, client = line["did"], line["client"]
        self.verdict.counts[did] += 1
        match did:
            case "begin":
                place = self._timed(line["cursor"], line["t"])
                self._stories[client] = Story(client, frozenset(line["topics"]), place)
            case "got":
                message = Message(line["topic"], line["id"], line["data"])
                self._stories[client].items.append((Place.of(line["cursor"]), message))
            case "gap":
                self.verdict.counts[f"gap: {line['reason']}"] += 1
                place = self._timed(line["cursor"], line["t"])
                self._stories[client].items.append((place, Gap(frozenset(line["topics"]), line["reason"])))
            case "end":
                story = self._stories[client]
                story.end, story.stays = self._timed(line["cursor"], line["t"]), line["stays"]
            case "try":
                message = Message(line["topic"], line["id"], line["data"])
                known = self._attempts.setdefault(line["id"], Attempt(message, line["t"]))
                known.since = min(known.since, line["t"])
            case "ack":
                place = self._timed(line["at"], line["t"])
                self._acks.append(Ack(line["id"], place, line["t"]))

    def _timed(self, cursor: str, t: float) -> Place:
        place = Place.of(cursor)
        self._seen_at[place.epoch] = min(t, self._seen_at.get(place.epoch, t))
        return place

    def judge(self) -> None:
        for story in self._stories.values():
            self._judge_order(story)
        self._judge_places()
        self._judge_time()
        self.verdict.epochs = self._epochs_in_order()
        self._judge_completeness()
        self._judge_ends()

    # One order, once, nothing from nowhere

    def _judge_order(self, story: Story) -> None:
        """What one client can tell alone."""
        seen: set[Place] = set()
        left: set[str] = set()
        now = story.begin
        for place, what in story.items:
            if isinstance(what, Message):
                if place in seen:
                    self.verdict.blame("delivered twice", f"{story.name} got {place} ({what.id}) again")
                elif place.epoch != now.epoch:
                    self.verdict.blame("silent change of epoch", f"{story.name} was at {now}, and got {place}")
                elif place.offset <= now.offset:
                    self.verdict.blame("out of order", f"{story.name} was at {now}, and got {place}")
                if what.topic not in story.topics:
                    self.verdict.blame("not asked for", f"{story.name} got {what.topic} at {place}")
                seen.add(place)
            elif not what.topics & story.topics:
                self.verdict.blame("not asked for", f"{story.name} got a gap of {sorted(what.topics)} at {place}")
            elif what.reason == "epoch" and place.epoch == now.epoch:
                self.verdict.blame("needless gap", f"{story.name} was at {now}, and is told of a new epoch at {place}")
            if place.epoch != now.epoch:
                left.add(now.epoch)
                if place.epoch in left:
                    self.verdict.blame("back to an epoch", f"{story.name} was at {now}, and is taken back to {place}")
            now = place

    def _judge_places(self) -> None:
        """What they can tell together: who stands where, and who wrote that."""
        holds: dict[Place, Message] = {}
        stands: dict[tuple[str, str], int] = {}

        def put(place: Place, message: Message, who: str) -> None:
            if holds.setdefault(place, message) != message:
                self.verdict.blame("different orders", f"{place} is {holds[place].id}, but {message.id} for {who}")
            if stands.setdefault((place.epoch, message.id), place.offset) != place.offset:
                other = stands[place.epoch, message.id]
                self.verdict.blame("took effect twice", f"{message.id} stands at {place} and at {other}, says {who}")

        for story in self._stories.values():
            for place, what in story.items:
                if isinstance(what, Message):
                    attempt = self._attempts.get(what.id)
                    if attempt is None or attempt.message != what:
                        self.verdict.blame("from nowhere", f"{story.name} got {what} at {place}")
                    put(place, what, story.name)
        self.verdict.counts["messages in the log"] = len(holds)
        for ack in self._acks:
            if ack.id in self._attempts:
                put(ack.at, self._attempts[ack.id].message, "its publisher")
            else:
                self.verdict.blame("from nowhere", f"{ack.id} was acknowledged and not published")

    def _judge_time(self) -> None:
        """Each acknowledged publish stands behind all that were acknowledged before it was first tried."""
        tried = sorted(
            {(self._attempts[ack.id].since, ack.id, ack.at) for ack in self._acks if ack.id in self._attempts}
        )
        acked = sorted(self._acks, key=lambda ack: ack.t)
        latest: dict[str, Ack] = {}
        i = 0
        for since, id, at in tried:
            while i < len(acked) and acked[i].t < since:
                ack = acked[i]
                if ack.at.epoch not in latest or latest[ack.at.epoch].at.offset < ack.at.offset:
                    latest[ack.at.epoch] = ack
                i += 1
            before = latest.get(at.epoch)
            if before is not None and before.at.offset >= at.offset:
                text = f"{id} was published after {before.id} was acknowledged at {before.at}, and stands at {at}"
                self.verdict.blame("before its time", text)

    # Everything, or a gap

    def _epochs_in_order(self) -> list[str]:
        """As clients went through them, and where none saw two of them, by the time they were first seen."""
        after: dict[str, set[str]] = {epoch: set() for epoch in self._seen_at}
        paths = [[story.begin.epoch, *(place.epoch for place, _ in story.items)] for story in self._stories.values()]
        for path in paths:
            for one, other in itertools.pairwise(path):
                if one != other:
                    after.setdefault(one, set())
                    after.setdefault(other, set()).add(one)
        sorter = TopologicalSorter(after)
        try:
            sorter.prepare()
        except CycleError as error:
            self.verdict.blame("different orders", f"of epochs: {' -> '.join(error.args[1])}")
            return sorted(after, key=lambda epoch: self._seen_at.get(epoch, 0.0))
        order: list[str] = []
        ready: set[str] = set()
        while sorter.is_active():
            ready.update(sorter.get_ready())
            first = min(ready, key=lambda epoch: self._seen_at.get(epoch, 0.0))
            ready.remove(first)
            order.append(first)
            sorter.done(first)
        return order

    def _judge_completeness(self) -> None:
        rank = {epoch: i for i, epoch in enumerate(self.verdict.epochs)}
        wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, topic in {
            (ack.at, self._attempts[ack.id].message.topic) for ack in self._acks if ack.id in self._attempts
        }:
            wanted[topic].append((rank[place.epoch], place.offset))
        for places in wanted.values():
            places.sort()
        for story in self._stories.values():
            for topic in story.topics:
                self._judge_topic(story, topic, wanted.get(topic, []), rank)

    def _judge_topic(
        self, story: Story, topic: str, wanted: Sequence[tuple[int, int]], rank: Mapping[str, int]
    ) -> None:
        def ranked(place: Place) -> tuple[int, int]:
            return (rank[place.epoch], place.offset)

        def lost(low: int, high: int) -> None:
            for epoch, offset in wanted[low:high]:
                place = Place(self.verdict.epochs[epoch], offset)
                self.verdict.blame("lost", f"{story.name} was not given {place} of {topic}")

        reached = bisect_right(wanted, ranked(story.begin))  # how many of them are done with
        first = reached
        declared = 0
        for place, what in story.items:
            here = ranked(place)
            if isinstance(what, Message) and what.topic == topic:
                lost(reached, bisect_left(wanted, here))
                reached = max(reached, bisect_right(wanted, here))
            elif isinstance(what, Gap) and topic in what.topics:
                covered = max(reached, bisect_right(wanted, here))
                declared += covered - reached
                reached = covered
        end = len(wanted) if story.stays or story.end is None else bisect_right(wanted, ranked(story.end))
        lost(reached, end)
        self.verdict.counts["deliveries owed"] += max(end, reached) - first
        self.verdict.counts["of these in gaps"] += declared

    def _judge_ends(self) -> None:
        ends: dict[Place, list[str]] = defaultdict(list)
        for story in self._stories.values():
            if story.end is None:
                self.verdict.blame("no end", f"{story.name} wrote down nothing after {story.last}")
            elif story.stays:
                ends[story.last].append(story.name)
        if len(ends) > 1:
            places = ", ".join(f"{place} ({len(names)}, as {names[0]})" for place, names in ends.items())
            self.verdict.blame("ends apart", places)
