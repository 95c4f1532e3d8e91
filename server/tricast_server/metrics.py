"""A node's figures for Prometheus, in its text format 1.0.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST


def rendered(families: Iterable[Metric]) -> str:
    """Each family once, with its HELP and TYPE."""
    return generate_latest(_Collected(families)).decode()


class _Collected:
    """What the renderer wants: something that can be asked."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def of_node(stats: dict[str, Any]) -> Iterator[Metric]:
    """What `Service.stats` says. Counters count from this process's start."""
    messages, sizes = stats["messages"], stats["bytes"]
    connections = GaugeMetricFamily(
        "tricast_connections",
        "Connections that are open; of polls, those that wait for an answer.",
        labels=["transport"],
    )
    for transport, count in stats["connections"].items():
        connections.add_metric([transport], count)
    yield connections
    yield CounterMetricFamily(
        "tricast_messages_published",
        "Messages that came into this node's log, whichever node took them.",
        value=messages["published"],
    )
    yield CounterMetricFamily(
        "tricast_messages_delivered", "Messages and gaps written to subscribers.", value=messages["delivered"]
    )
    yield CounterMetricFamily("tricast_bytes_delivered", "Bytes of what was delivered.", value=sizes["delivered"])
    yield GaugeMetricFamily("tricast_messages_kept", "Messages that this node's log holds.", value=messages["kept"])
    yield GaugeMetricFamily("tricast_bytes_kept", "Bytes of them.", value=sizes["kept"])
    yield GaugeMetricFamily("tricast_topics", "Topics that this node's log holds.", value=stats["topics"])
    yield GaugeMetricFamily(
        "tricast_backplane_up",
        "Whether the log's engine answered when it was last asked.",
        value=stats["backplane"]["up"],
    )
    yield GaugeMetricFamily("tricast_draining", "Whether this node is going away.", value=stats["draining"])
    yield GaugeMetricFamily("tricast_uptime_seconds", "Since this node was made.", value=stats["uptime"])
