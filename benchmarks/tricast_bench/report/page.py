"""The report as one page. It has no script and asks for nothing: its content policy would not let it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.resources import files

from tricast_bench.report import tables
from tricast_bench.report.checked import checked
from tricast_bench.report.figures import figures
from tricast_bench.report.guide import Advice, advice, answer, thresholds
from tricast_bench.report.markup import Markup, join, tag
from tricast_bench.report.panels import Figure
from tricast_bench.report.raw import raw
from tricast_bench.report.summary import Summary, summarise
from tricast_bench.report.words import count, number
from tricast_bench.results import Results

TITLE = "WebSocket, Server-Sent Events and long polling, measured"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
VOID_SHARE = 0.25
"""Of the runs, beyond which the report warns at once."""
SECTIONS = (
    ("answer", "The answer"),
    ("guide", "Which to choose"),
    ("figures", "Figures"),
    ("cases", "Every case in numbers"),
    ("runs", "Load and void runs"),
    ("environment", "Environment"),
    ("limits", "Limits"),
    ("again", "How to reproduce, and the raw results"),
)


def page(results: Results) -> str:
    """HTML, the same for the same results."""
    sound = checked(results)
    summary = summarise(sound)
    body = {
        "answer": _answer(sound, summary),
        "guide": _guide(summary),
        "figures": join(_figure(figure) for figure in figures(summary)),
        "cases": tables.scenarios(summary) if summary.cases else tag("p", "Nothing was measured."),
        "runs": _runs(sound, summary),
        "environment": _environment(sound),
        "limits": _limits(sound, summary),
        "again": _again(sound),
    }
    sections = [
        tag("section", tag("h2", title, id=f"{name}-heading"), body[name], id=name, aria_labelledby=f"{name}-heading")
        for name, title in SECTIONS
    ]
    style = Markup(files(__package__).joinpath("page.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", TITLE),
        tag("style", style),
    )
    document = tag("html", head, tag("body", _header(sound), tag("main", *sections)), lang="en")
    return f"<!doctype html>\n{document}\n"


def _header(results: Results) -> Markup:
    void = sum(run.void is not None for run in results.runs)
    facts = [
        f"Measured {_day(results.started)}",
        f"{count(len(results.runs), 'run')}, {void:,} of them void" if void else count(len(results.runs), "run"),
        f"in {number(results.seconds / 60)} minutes" if results.seconds >= 120 else f"in {results.seconds:.0f} seconds",
    ]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title in SECTIONS]
    quick = ". A quick run: short, with few rounds" if results.settings.quick else ""
    return tag(
        "header",
        tag("h1", TITLE),
        tag("p", f"{', '.join(facts)}{quick}. One server, one message bus, three ways to it.", class_="about"),
        tag("nav", tag("ul", *links), aria_label="Sections"),
    )


def _answer(results: Results, summary: Summary) -> Markup:
    said = [tag("p", sentence, class_="lead") for sentence in answer(summary)]
    void = sum(run.void is not None for run in results.runs)
    if void > VOID_SHARE * len(results.runs):
        words = f"{void:,} of {count(len(results.runs), 'run')} are void, so what is left is thin."
        said.insert(0, tag("p", words, class_="lead"))
    legend = tag(
        "p",
        "Medians over the rounds with 95% intervals; below them, how many times the best of the row that is.",
        class_="small",
    )
    return join([*said, legend, tables.comparison(summary), tables.sources()])


def _guide(summary: Summary) -> Markup:
    return join([tag("p", thresholds(), class_="small"), *[_advice(one) for one in advice(summary)]])


def _advice(one: Advice) -> Markup:
    if not one.sentences:
        words = tag("p", "Not measured. ", tag("code", f"tricast bench --scenario {one.run}"), " answers it.")
        return tag("div", tag("h3", one.question), words, class_="advice none")
    return tag("div", tag("h3", one.question), tag("p", " ".join(one.sentences)), class_="advice")


def _figure(figure: Figure) -> Markup:
    heading = tag("h3", figure.heading)
    if not figure.panels:
        return tag("figure", heading, tag("p", figure.absent, class_="none"), id=f"figure-{figure.identity}")
    panels = [tag("div", panel, class_="panel") for panel in figure.panels]
    return tag(
        "figure",
        heading,
        tag("figcaption", figure.caption),
        tag("div", *panels, class_="panels"),
        id=f"figure-{figure.identity}",
    )


def _runs(results: Results, summary: Summary) -> Markup:
    table = tables.load(summary)
    offered = [
        tag(
            "p",
            "Publications went out on a schedule, whatever became of those before, and latency counts from when each "
            "should have gone. The schedule’s lag is how late the load was itself: it is part of every latency here.",
        )
    ]
    offered += [table] if table is not None else [tag("p", "No run had an offered load.", class_="none")]
    void = tables.voids(results)
    said = (
        tag(
            "p",
            "These say something about the load or the machine and nothing about the server. No number above is of "
            "them.",
        )
        if void is not None
        else tag("p", "None: all runs count." if results.runs else "There were no runs.")
    )
    parts = [tag("h3", "Offered and achieved"), *offered, tag("h3", "Void runs"), said]
    return join([*parts, *([void] if void is not None else [])])


def _environment(results: Results) -> Markup:
    settings, known = results.settings, results.environment
    items: list[tuple[str, str]] = []
    for name, value in known.items():
        if isinstance(value, Mapping):
            items += [(str(key), "not installed" if one is None else str(one)) for key, one in value.items()]
        else:
            items.append((str(name), "not known" if value is None else str(value)))
    items += [
        ("started", results.started),
        (
            "server",
            f"at {settings.target}" if settings.target else f"fresh for each run, on core {settings.server_core}",
        ),
        ("load", "anywhere" if settings.generator_core is None else f"on core {settings.generator_core}"),
        ("transports", tables.transports_in_words(settings.transports)),
        ("rounds", f"{settings.repeat}, each in another order (seed {settings.seed})"),
    ]
    skipped = [tag("li", tag("b", name), f": {reason}") for name, reason in settings.skipped.items()]
    more = [tag("p", "Not measured here:"), tag("ul", *skipped)] if skipped else []
    return join([tables.pairs(items), *more])


def _limits(results: Results, summary: Summary) -> Markup:
    settings = results.settings
    if settings.target:
        where = (
            "The server was one that ran already: other clients of it are in its CPU and memory, and what lies "
            "between it and the load is in every latency."
        )
    else:
        where = (
            "Server and load ran on one machine, over the loopback: no link is slow, nothing is lost on the way, and a "
            "round trip takes tens of microseconds. On a real network all three are slower by its round trips."
        )
    fewest = min((len(runs) for case in summary.cases for runs in case.runs.values()), default=0)
    said = [
        where,
        "Server and load have a core each, but share caches, the memory and the kernel; on a virtual machine, "
        "with strangers as well. Absolute numbers drift by tens of percent over minutes, so transports are compared "
        "within rounds, and ratios are worth more than microseconds.",
        "Times are of the monotonic clock, one for all processes of a host. Timers wake late, which is the schedule’s "
        "lag above: differences between latencies that are smaller than it are not to be leaned on.",
        "A run is the unit of all intervals, not a message: messages of one run share its fate. The least measured "
        f"case here has {count(fewest, 'valid run')}. Intervals are percentile bootstraps of the median; with fewer "
        "than six runs they "
        "cannot be wider than the range of the values, and so are too narrow (for five about 94%, for three 75%).",
        "Each interval is for itself. Among as many as are on this page, some miss their value by chance.",
        "The clients are locust users that read through gevent sockets, not browsers, and without TLS. What a browser "
        "adds is not here. Nothing is compressed but where a case says so; letters would be to nearly nothing, texts "
        "are records with varying fields and words, and binary is random bytes, which no compression makes smaller.",
        "CPU is that of the server’s process. On the loopback much of the receiver’s work in the kernel is done while "
        "the sender writes, and so counts as the sender’s.",
    ]
    return tag("ul", *[tag("li", sentence) for sentence in said], class_="limits")


def _again(results: Results) -> Markup:
    name, _, changed = str(results.environment.get("commit") or "").partition("-")
    at = [" at commit ", tag("code", name[:12]), ", changed since" if changed else ""] if name else []
    command = shlex.join(results.command) if results.command else "tricast bench"
    parts = [
        tag("p", "The command that measured this", *at, ", with other programs closed:"),
        tag("pre", tag("code", command), tabindex="0"),
    ]
    made = raw(results)
    if made is None:
        parts.append(
            tag("p", "The raw results are too large to be in here: results.json was written beside this file.")
        )
        return join(parts)
    link = tag("a", made.name, href=made.href, download=made.name)
    left_out = f", without {made.left_out}, which would make this file too large" if made.left_out else ""
    size = f"{made.size / 1000:,.0f} kB" if made.size >= 1000 else f"{made.size} bytes"
    parts.append(tag("p", "The raw results are in this file: ", link, f" ({size}{left_out})."))
    return join(parts)


def _day(started: str) -> str:
    day, _, time = started.partition("T")
    return f"{day} at {time[:5]} UTC" if len(time) >= 5 else started or "at an unknown time"
