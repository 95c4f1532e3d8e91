"""The schema of the protobuf format: what is generated from it, and that old and new programs understand each other.

tests/vectors/tricast-v1.descriptor is the schema as it was first published. It stays as it is; a schema that has grown
may be kept beside it:

    python -m grpc_tools.protoc -Iproto --descriptor_set_out=FILE proto/tricast.proto
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.helpers import ROOT, missing
from tests.unit import protobuf_cases

from tricast.wire import protobuf, tricast_pb2

VECTORS = ROOT / "tests/vectors"
GENERATED = ROOT / "clients/python/tricast/wire"
CLIENT_JS = ROOT / "clients/js"
LATER = 100
"""Number of the fields that a later version adds."""

CASES = [case for case in protobuf_cases.recorded()["cases"] if "error" not in case]
FRAMES = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def present() -> FileDescriptorProto:
    file = FileDescriptorProto()
    tricast_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def published() -> FileDescriptorProto:
    (file,) = FileDescriptorSet.FromString((VECTORS / "tricast-v1.descriptor").read_bytes()).file
    return file


def messages(file: FileDescriptorProto) -> dict[str, DescriptorProto]:
    """There are none within others."""
    assert not any(message.nested_type for message in file.message_type)
    return {message.name: message for message in file.message_type}


def broken(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """What programs that know `old` would misunderstand in `new`."""
    found: list[str] = []
    if (old.package, old.syntax) != (new.package, new.syntax):
        found.append("package and syntax stay")
    if new.enum_type or any(message.enum_type for message in new.message_type):
        found.append("no enums: what is added to one reads as its first value in old programs")
    now = messages(new)
    for name, message in messages(old).items():
        if name not in now:
            found.append(f"message {name} is gone")
        else:
            found += [f"{name}.{what}" for field in message.field for what in changed(field, message, now[name])]
    return found


def changed(field: FieldDescriptorProto, old: DescriptorProto, new: DescriptorProto) -> list[str]:
    now = {one.number: one for one in new.field}.get(field.number)
    if now is None:
        numbers = any(kept.start <= field.number < kept.end for kept in new.reserved_range)
        if numbers and field.name in new.reserved_name:
            return []
        return [f'{field.name} is gone: `reserved {field.number};` and `reserved "{field.name}";` keep it unused']
    if shape(field, old) == shape(now, new):
        return []
    return [f"{field.name} = {field.number} was {shape(field, old)} and is {shape(now, new)}"]


def shape(field: FieldDescriptorProto, message: DescriptorProto) -> dict[str, Any]:
    """All that readers and writers rely on."""
    return {
        "name": field.name,
        "type": FieldDescriptorProto.Type.Name(field.type),
        "of": field.type_name,
        "label": FieldDescriptorProto.Label.Name(field.label),
        "oneof": message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None,
        "optional": field.proto3_optional,
    }


def test_what_is_committed_is_what_is_generated(tmp_path: Path) -> None:
    subprocess.run(["sh", "scripts/make-proto.sh", sys.executable, tmp_path], cwd=ROOT, check=True)
    assert contents(tmp_path, "*.py*") == contents(GENERATED, "*_pb2.py*"), "`make proto` writes it anew"
    if not (CLIENT_JS / "node_modules/.bin/protoc-gen-es").exists():
        missing("what clients/js is built with: npm ci")
    assert contents(tmp_path, "*.ts") == contents(CLIENT_JS / "src/wire", "*_pb.ts"), "`make proto` writes it anew"


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


def test_nothing_that_was_published_has_changed() -> None:
    assert broken(published(), present()) == []


def renumbered(file: FileDescriptorProto) -> None:
    messages(file)["Hello"].field[0].number = 50


def of_another_type(file: FileDescriptorProto) -> None:
    messages(file)["Message"].field[0].type = FieldDescriptorProto.TYPE_BYTES


def repeated(file: FileDescriptorProto) -> None:
    messages(file)["Heartbeat"].field[0].label = FieldDescriptorProto.LABEL_REPEATED


def without_presence(file: FileDescriptorProto) -> None:
    (ref,) = (field for field in messages(file)["Command"].field if field.name == "ref")
    ref.ClearField("oneof_index")
    ref.ClearField("proto3_optional")


def renamed(file: FileDescriptorProto) -> None:
    messages(file)["Bye"].field[0].name = "why"


def without_a_field(file: FileDescriptorProto) -> None:
    del messages(file)["Bye"].field[1]


def without_a_message(file: FileDescriptorProto) -> None:
    file.message_type.remove(messages(file)["Gap"])


def with_an_enum(file: FileDescriptorProto) -> None:
    file.enum_type.add(name="Reason").value.add(name="UNKNOWN", number=0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (renumbered, "Hello.protocol is gone"),
        (of_another_type, "Message.topic = 1 was"),
        (repeated, "Heartbeat.cursor = 1 was"),
        (without_presence, "Command.ref = 15 was"),
        (renamed, "Bye.reason = 1 was"),
        (without_a_field, "Bye.reconnect_after is gone: `reserved 2;`"),
        (without_a_message, "message Gap is gone"),
        (with_an_enum, "no enums"),
    ],
)
def test_a_change_that_breaks_others_is_found(change: Callable[[FileDescriptorProto], None], complaint: str) -> None:
    file = present()
    change(file)
    (found,) = broken(published(), file)
    assert found.startswith(complaint)


def test_a_field_may_go_where_its_number_and_name_are_kept() -> None:
    file = present()
    bye = messages(file)["Bye"]
    without_a_field(file)
    bye.reserved_range.add(start=2, end=3)
    bye.reserved_name.append("reconnect_after")
    assert broken(published(), file) == []


def test_a_schema_may_grow() -> None:
    assert broken(published(), grown()) == []


# Old and new programs


def grown() -> FileDescriptorProto:
    """A later version: a further field in every message, a further type of frames, a further action."""
    file = present()
    for message in file.message_type:
        message.field.add(
            name="later",
            number=LATER,
            type=FieldDescriptorProto.TYPE_STRING,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )
    file.message_type.add(name="Weather").field.add(
        name="sky", number=1, type=FieldDescriptorProto.TYPE_STRING, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    for name in ("Frame", "Command"):
        messages(file)[name].field.add(
            name="weather",
            number=LATER + 1,
            type=FieldDescriptorProto.TYPE_MESSAGE,
            type_name=".tricast.v1.Weather",
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            oneof_index=0,
        )
    return file


def classes(file: FileDescriptorProto) -> dict[str, type[Message]]:
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")) for name in messages(file)}


GROWN = classes(grown())
PUBLISHED = classes(published())


def as_later(kind: str, raw: bytes) -> bytes:
    """What a later version would write, with its own field in each message."""
    message = GROWN[kind].FromString(raw)
    decorate(message)
    return message.SerializeToString()


def decorate(message: Any) -> None:
    message.later = "in"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for member in value if field.is_repeated else (value,):
                decorate(member)


@FRAMES
def test_frames_of_a_later_version_mean_the_same(case: dict[str, Any]) -> None:
    raw = base64.b64decode(case["base64"])
    later = as_later("Frame", raw)
    assert later != raw
    assert protobuf.decode(later) == protobuf.decode(raw)


def test_so_do_batches_answers_and_commands() -> None:
    recorded = protobuf_cases.recorded()
    for group, kind, decode in (
        ("batches", "Batch", protobuf.decode_batch),
        ("answers", "Answers", protobuf.decode_answers),
        ("commands", "Command", protobuf.command_members),
        ("sends", "Commands", protobuf.commands_members),
    ):
        for case in recorded[group]:
            raw = base64.b64decode(case["base64"])
            if "error" not in case:
                assert decode(as_later(kind, raw)) == decode(raw), case["name"]


def test_a_frame_of_a_later_type_is_ignored() -> None:
    frame: Any = GROWN["Frame"]()
    frame.weather.sky = "blue"
    assert protobuf.decode(frame.SerializeToString()) is None
    batch: Any = GROWN["Batch"](cursor="e-1", messages=[frame])
    assert protobuf.decode_batch(batch.SerializeToString()).frames == ()


def test_an_action_of_a_later_version_is_unknown_and_keeps_its_ref() -> None:
    command: Any = GROWN["Command"](ref="7")
    command.weather.sky = "blue"
    assert protobuf.command_members(command.SerializeToString()) == {"action": "unknown", "ref": "7"}


@FRAMES
def test_programs_of_the_first_version_read_what_is_written_today(case: dict[str, Any]) -> None:
    frame = protobuf.decode(base64.b64decode(case["base64"]))
    if frame is None:
        return
    raw = protobuf.encode(frame)
    old: Any = PUBLISHED["Frame"].FromString(raw)
    assert old.WhichOneof("frame") == frame.type
    assert old.SerializeToString() == raw
    today: Any = tricast_pb2.Frame.FromString(raw)
    for field, value in getattr(old, frame.type).ListFields():
        assert getattr(getattr(today, frame.type), field.name) == value
