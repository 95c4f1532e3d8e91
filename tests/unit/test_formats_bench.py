"""The tables of formats and compression say what was measured, and how long messages are."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tricast.wire import json, protobuf
from tricast.wire.messages import Message
from tricast_bench.peers.formats import sizes
from tricast_bench.peers.formats.__main__ import bench
from tricast_bench.peers.formats.cases import CARRIED, SIZES, VARIANTS, Carried, cases, data_of
from tricast_bench.peers.formats.doc import section
from tricast_bench.peers.formats.measure import Sample

RAW = {
    "started": "2026-11-22T10:00:00Z",
    "environment": {"cpu": "a processor", "kernel": "Linux 6", "python": "CPython 3.11", "commit": None},
    "rounds": 3,
    "seconds": 1.0,
}


def sample(number: int, **more: Any) -> Sample:
    known: dict[str, Any] = {"readers": "ws", "content": "text", "size": 1024, "format": "json", "compress": False}
    return Sample(**{"round": number, "bytes": 1_200.0, "p50": 1.0, "p99": 2.0, **known, **more})


def row(text: str, title: str) -> list[list[str]]:
    """In each of the tables that have it."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {title} ")]
    return [[cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines]


def test_a_cost_is_a_median_with_its_ratio_to_plain_json_of_the_same_round() -> None:
    plain = [sample(n, us=us) for n, us in enumerate((10.0, 20.0, 40.0))]
    other = [sample(n, us=us, format="protobuf") for n, us in enumerate((8.0, 16.0, 48.0))]
    void = sample(7, us=900.0, format="protobuf", void="others")
    costs, lengths, latencies = row(section(RAW, [*plain, *other, void]), "WebSocket, 100 readers: text, 1,024 B")
    assert costs == ["20.0", "–", "16.0 (0.80)", "–"]
    assert lengths == ["1,200", "–", "1,200", "–"]
    assert latencies == ["1.00 / 2.00", "–", "1.00 / 2.00", "–"]


def test_what_failed_or_did_not_arrive_is_said_and_left_out() -> None:
    text = section(RAW, [sample(1, failed="it does\nnot start"), sample(2, us=1.0, compress=True, complete=False)])
    assert "Failed: ws, text of 1,024 B, json, plain: it does not start" in text
    assert "did not get each message once: ws, text of 1,024 B, json, compressed" in text
    assert row(text, "WebSocket, 100 readers: text, 1,024 B")[0] == ["–"] * len(VARIANTS)


def test_every_case_is_measured_in_both_formats_and_sse_is_never_compressed() -> None:
    every = list(cases())
    assert {(case.content, case.size) for case in every} == {(content, size) for content in CARRIED for size in SIZES}
    for case in every:
        assert len(case.variants()) == (2 if case.readers.transport == "sse" else 4)


@pytest.mark.parametrize("content", CARRIED)
@pytest.mark.parametrize("size", SIZES)
def test_the_frames_whose_length_is_told_are_messages_of_that_much_data(content: Carried, size: int) -> None:
    made = sizes.frames(content, size)
    for codec in (json, protobuf):
        frame = codec.decode(made[codec.NAME])
        assert isinstance(frame, Message)
        assert frame.data == data_of(content, size)
        unpacked = zlib.decompressobj(-15).decompress(sizes.deflated(made[codec.NAME], 6) + b"\x00\x00\xff\xff")
        assert unpacked == gzip.decompress(sizes.zipped(made[codec.NAME], 6)) == made[codec.NAME]


def test_lengths_are_written_into_a_document_without_measuring(tmp_path: Path) -> None:
    document = tmp_path / "formats.md"
    document.write_text("a\n<!-- sizes -->\n<!-- /sizes -->\nb\n<!-- formats -->old<!-- /formats -->\n")
    app = typer.Typer()
    app.command()(bench)
    done = CliRunner().invoke(app, ["--sizes", "--write", str(document)])
    assert done.exit_code == 0, done.output
    text = document.read_text()
    assert row(text, "binary, 16,384 B")
    assert text.endswith("<!-- /sizes -->\nb\n<!-- formats -->old<!-- /formats -->\n")
