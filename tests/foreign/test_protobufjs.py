"""Another implementation of Protocol Buffers reads and writes the protobuf format, with the schema and nothing else."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

from tests.helpers import ROOT, missing

from tricast.errors import CommandError
from tricast.wire.commands import command_of
from tricast.wire.json import to_members

HERE = ROOT / "tests/foreign"
CASES = ROOT / "tests/vectors/protobuf.json"


async def made_by_protobufjs() -> dict[str, list[dict[str, Any]]]:
    """What npm's `protobufjs` makes of the cases that are no errors, and the payloads that it writes for them."""
    node = shutil.which("node") or missing("node")
    if not (HERE / "node_modules/protobufjs").is_dir():
        missing("the npm package protobufjs, which `make tools` installs")
    command = [node, str(HERE / "protobufjs.mjs"), str(ROOT / "proto/tricast.proto"), str(CASES)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    made: dict[str, list[dict[str, Any]]] = json.loads(output)
    return made


def command_meaning(read: Any) -> Any:
    """What a server makes of it: what is not said has its default, and there are rules that no schema tells."""
    try:
        return to_members(command_of(read))
    except CommandError as error:
        return {"error": error.code}


async def test_it_reads_the_same_and_writes_the_same_bytes() -> None:
    made = await made_by_protobufjs()
    groups = json.loads(CASES.read_text())
    assert set(made) == set(groups) - {"about"}
    for group, answers in made.items():
        cases = [case for case in groups[group] if "error" not in case]
        assert [answer["name"] for answer in answers] == [case["name"] for case in cases]
        for case, answer in zip(cases, answers, strict=True):
            where = f"{group}: {case['name']}"
            assert meaning(group, answer["read"]) == expected(group, case), where
            assert answer["written"] == case["base64"], where


def meaning(group: str, read: Any) -> Any:
    if group == "commands":
        return command_meaning(read)
    if group == "sends":
        return [command_meaning(command) for command in read]
    return read


def expected(group: str, case: dict[str, Any]) -> Any:
    if group == "batches":
        return {name: case[name] for name in ("cursor", "frames", "hello", "bye") if name in case}
    member = {"cases": "frame", "commands": "command", "sends": "commands", "answers": "frames"}[group]
    return case.get(member)
