"""`GET /metrics`: what the service and its bus have counted, as Prometheus text. No topic names, no clients.

`FAMILIES` is the whole of it; docs/monitoring.md shows the same table, and the tests hold the two together. The process
figures are those of prometheus_client's own collectors. Each Service has a registry of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    GCCollector,
    Metric,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tricast.errors import COMMAND_ERRORS
from tricast_server.bus.meters import Histogram, by_transport
from tricast_server.service import Service
from tricast_server.tally import FALLBACKS, OTHER, SOURCES, TRANSPORTS

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Labels: TypeAlias = tuple[str, ...]
Value: TypeAlias = float | Histogram
_Read: TypeAlias = Callable[[Service], Iterable[tuple[Labels, Value]]]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `read` gives the values of all its series; it is called from another thread than the event loop's,
    so it copies what may change meanwhile, in one step.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels
    read: _Read

    @property
    def full_name(self) -> str:
        """As it stands in the text."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    def metric(self, service: Service) -> Metric:
        if self.kind == "histogram":
            histograms = HistogramMetricFamily(self.name, self.help, labels=self.labels)
            for labels, value in self.read(service):
                assert isinstance(value, Histogram)
                histograms.add_metric(labels, _buckets(value), value.sum)
            return histograms
        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        numbers = kind(self.name, self.help, labels=self.labels)
        for labels, value in self.read(service):
            assert not isinstance(value, Histogram)
            numbers.add_metric(labels, value)
        return numbers


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(repr, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(list(histogram.counts)), strict=True))


def _one(read: Callable[[Service], Value]) -> _Read:
    return lambda service: [((), read(service))]


def _by(names: Iterable[str], read: Callable[[Service], Mapping[str, float]]) -> _Read:
    """One series for each of `names`, from the start, and for what else was counted."""

    def values(service: Service) -> Iterator[tuple[Labels, Value]]:
        known = {**dict.fromkeys(names, 0.0), **dict(read(service))}
        return (((name,), value) for name, value in known.items())

    return values


def _fallbacks(service: Service) -> Iterator[tuple[Labels, Value]]:
    counted = dict(service.tally.fallbacks)
    known = dict.fromkeys(((name, reason) for name in TRANSPORTS for reason in (*FALLBACKS, OTHER)), 0)
    return ((labels, count) for labels, count in {**known, **counted}.items())


def _info(service: Service) -> Iterator[tuple[Labels, Value]]:
    yield (service.settings.node, service.bus.backplane.engine), 1


def _connections(service: Service) -> Mapping[str, float]:
    return service.connections


FAMILIES: tuple[Family, ...] = (
    Family("tricast_info", "gauge", "Always 1: which node this is, and where its log is.", ("node", "engine"), _info),
    Family(
        "tricast_connections",
        "gauge",
        "Connections that are open now. A poll is one while it is held.",
        ("transport",),
        _by(TRANSPORTS, _connections),
    ),
    Family(
        "tricast_connections_opened",
        "counter",
        "Connections that were let in. Every poll is one.",
        ("transport",),
        _by(TRANSPORTS, lambda service: service.tally.opened),
    ),
    Family(
        "tricast_refusals",
        "counter",
        "Connections and requests that were turned away, by the reason.",
        ("reason",),
        _by(COMMAND_ERRORS, lambda service: service.refusals),
    ),
    Family(
        "tricast_fallbacks",
        "counter",
        "Clients that came by another transport, by what they said of the one they gave up.",
        ("transport", "reason"),
        _fallbacks,
    ),
    Family(
        "tricast_received_messages",
        "counter",
        "Messages that clients published and the log took, by where they came from.",
        ("source",),
        _by(SOURCES, lambda service: service.tally.messages),
    ),
    Family(
        "tricast_received_bytes",
        "counter",
        "Bytes of data in the messages that clients published and the log took.",
        ("source",),
        _by(SOURCES, lambda service: service.tally.size),
    ),
    Family(
        "tricast_publishes",
        "counter",
        "Publishes by what came of them: ok, duplicate, or the code of the error.",
        ("outcome",),
        _by(("ok", "duplicate", *COMMAND_ERRORS), lambda service: service.tally.outcomes),
    ),
    Family(
        "tricast_append_seconds",
        "histogram",
        "Time until the backplane had taken a publish.",
        (),
        _one(lambda service: service.bus.meters.append),
    ),
    Family(
        "tricast_sent_messages",
        "counter",
        "Messages (and gaps) written to readers: one that goes to ten readers counts ten times.",
        ("transport",),
        _by(TRANSPORTS, lambda service: by_transport(service.bus.meters.messages)),
    ),
    Family(
        "tricast_sent_bytes",
        "counter",
        "Bytes of messages (and gaps) written to readers, with their framing.",
        ("transport",),
        _by(TRANSPORTS, lambda service: by_transport(service.bus.meters.size)),
    ),
    Family(
        "tricast_flush_seconds",
        "histogram",
        "Time in which one flush wrote what had come to all who listen; the event loop does nothing else meanwhile.",
        (),
        _one(lambda service: service.bus.meters.flush),
    ),
    Family(
        "tricast_delivery_lag_seconds",
        "histogram",
        "Time from the append of the oldest message of a flush until all who are live have been written it.",
        (),
        _one(lambda service: service.bus.meters.lag),
    ),
    Family(
        "tricast_gaps",
        "counter",
        "Times that a reader was told of messages it will not get.",
        ("reason",),
        _by(("expired", "epoch", "slow"), lambda service: service.bus.meters.gaps),
    ),
    Family(
        "tricast_slow_readers",
        "counter",
        "Times that a connection took no more, and its reader went on from the log.",
        ("transport",),
        _by(("ws", "sse"), lambda service: by_transport(service.bus.meters.slow)),
    ),
    Family(
        "tricast_loop_lag_seconds",
        "histogram",
        "How late the event loop was for a timer, once a second.",
        (),
        _one(lambda service: service.bus.meters.loop_lag),
    ),
    Family(
        "tricast_appended_messages",
        "counter",
        "Messages that this node's log has taken in, from all nodes.",
        (),
        _one(lambda service: service.bus.log.appended),
    ),
    Family("tricast_log_messages", "gauge", "Messages kept.", (), _one(lambda service: len(service.bus.log))),
    Family("tricast_log_bytes", "gauge", "Bytes kept.", (), _one(lambda service: service.bus.log.size)),
    Family("tricast_topics", "gauge", "Topics with kept messages.", (), _one(lambda service: service.bus.log.topics)),
    Family(
        "tricast_backplane_up",
        "gauge",
        "1 while the backplane answers, else 0.",
        (),
        _one(lambda service: float(service.bus.backplane.up)),
    ),
    Family(
        "tricast_draining",
        "gauge",
        "1 while this node sends its clients away, else 0.",
        (),
        _one(lambda service: float(service.bus.draining)),
    ),
)


class _Collector(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        return (family.metric(self._service) for family in FAMILIES)


def new_registry(service: Service) -> CollectorRegistry:
    """For one service; the process figures are in it too."""
    registry = CollectorRegistry()
    registry.register(_Collector(service))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def rendered(families: Iterable[Metric]) -> str:
    """These in the same format, each once with its HELP and TYPE."""
    return generate_latest(_Families(families)).decode()


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(service: Service) -> bytes:
    """All metrics of this process in Prometheus' text format 0.0.4, after the service has started.

    Reads files: call it off the event loop.
    """
    if service.registry is None:
        service.registry = new_registry(service)
    return generate_latest(service.registry)
