"""What docs/ and deploy/ say of the metrics and the API is what the code has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from tests.helpers import ROOT

from tricast_server.describe import tables
from tricast_server.metrics import FAMILIES

DASHBOARD = ROOT / "deploy/grafana/tricast.json"
GIVEN_BY_PROMETHEUS = {"up"}
SUFFIXES = ("_bucket", "_sum", "_count")
WORDS = {"and", "by", "histogram_quantile", "label_values", "max", "min", "on", "or", "rate", "sum", "without"}


def names() -> set[str]:
    """Of all series that a scrape has."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    text = generate_latest(registry).decode()
    found = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    for family in FAMILIES:
        suffixes = SUFFIXES if family.kind == "histogram" else ("",)
        found |= {family.full_name + suffix for suffix in suffixes}
    return found | GIVEN_BY_PROMETHEUS


def in_query(query: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", "", query)
    bare = re.sub(r"\b(by|without|on)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-z_]{2,}\b", bare)) - WORDS - {"job", "instance"}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def test_the_docs_have_the_tables_of_the_code() -> None:
    """If this fails: `make api-doc`."""
    docs = ROOT / "docs"
    assert (docs / "api.md").read_text() == tables.api()
    text = (docs / "monitoring.md").read_text()
    assert text == tables.monitoring(text)


def test_the_dashboard_shows_only_what_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    known, shown = names(), set()
    for panel in panels(dashboard):
        assert panel["type"] == "row" or panel["targets"]
        for target in panel.get("targets", ()):
            shown |= in_query(target["expr"])
            assert target["expr"].count("(") == target["expr"].count(")")
    for variable in dashboard["templating"]["list"]:
        shown |= in_query(str(variable.get("definition", "")))
    assert shown
    assert shown <= known, shown - known


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    """But for what is a state of the whole or another view of the same."""
    text = DASHBOARD.read_text()
    missing = {family.name for family in FAMILIES if family.name not in text}
    assert missing == {"tricast_draining", "tricast_appended_messages"}


def test_the_dashboard_is_one() -> None:
    """What Grafana needs to import it: a title, panels with a place and a number of their own, a data source to ask."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["title"] == "tricast"
    assert dashboard["schemaVersion"] >= 36
    found = list(panels(dashboard))
    assert len({panel["id"] for panel in found}) == len(found)
    places = set()
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        places |= {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
    assert len(places) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in found), "some overlap"
    sources = {panel["datasource"]["uid"] for panel in found if panel["type"] != "row"}
    assert sources == {"${datasource}"}
    assert dashboard["templating"]["list"][0]["name"] == "datasource"


def test_the_rules_that_the_docs_advise_name_what_there_is() -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    section = text.split("## What to be woken for")[1].split("## The log")[0]
    rules = re.findall(r"`([^`]*(?:tricast_|process_|up\{)[^`]*)`", section)
    assert len(rules) > 6
    for rule in rules:
        assert in_query(rule) <= names(), rule
