"""The parts of docs/ that are made from the code: `python -m tricast_server.describe.tables docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tricast_server.describe.openapi import openapi
from tricast_server.describe.parts import error_table
from tricast_server.describe.schema import COMMANDS, FRAMES
from tricast_server.metrics import FAMILIES
from tricast_server.settings import Settings

BEGIN, END = "<!-- metrics -->\n", "<!-- /metrics -->\n"
HEAD = """# The API, as the code describes itself

Made from `/openapi.json` and `/asyncapi.json`, which a running server has for its own settings; here they stand with
the defaults. Load either into a viewer or a generator of your choice. What it all means: [protocol.md](protocol.md).

"""


def metrics_table() -> str:
    rows = ((f"`{f.full_name}`", f.kind, ", ".join(f"`{name}`" for name in f.labels), f.help) for f in FAMILIES)
    return _table(("name", "kind", "labels", "what it says"), rows)


def monitoring(text: str) -> str:
    """docs/monitoring.md with its table as it should be."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{metrics_table()}{END}{rest.split(END)[1]}"


def api() -> str:
    """docs/api.md."""
    document = openapi(Settings(node="n1"))
    schemas = document["components"]["schemas"]
    parts = [HEAD, "## Endpoints\n\n"]
    for path, methods in document["paths"].items():
        for method in ("get", "post"):
            if method in methods:
                parts.append(_operation(method, path, methods[method]))
    parts += ["## Errors\n\n", _table(("code", "status", "passes"), _errors())]
    parts.append("\n## Frames, from the server\n\n")
    parts += [_members(cls.__name__, schemas) for cls in FRAMES]
    parts += ["## Commands, to the server\n\n", *(_members(cls.__name__, schemas) for cls in COMMANDS)]
    parts.append(_members("ShortPublish", schemas))
    return "".join(parts).rstrip("\n") + "\n"


def _errors() -> Iterable[Sequence[str]]:
    return ((f"`{code}`", str(status), "yes" if passes else "no") for code, status, passes in error_table())


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [
        f"### {method.upper()} {path}\n\n{operation['summary']}. {operation.get('description', '')}".rstrip(),
        "\n\n",
    ]
    parameters = operation.get("parameters", [])
    if parameters:
        given = ((f"`{p['name']}`", p["in"], _kind(p["schema"]), p.get("description", "")) for p in parameters)
        lines += [_table(("parameter", "in", "kind", "meaning"), given), "\n"]
    rows = ((status, " ".join(answer["description"].split())) for status, answer in operation["responses"].items())
    return "".join([*lines, _table(("answer", "meaning"), rows), "\n"])


def _members(name: str, schemas: dict[str, Any]) -> str:
    schema = schemas[name]
    required = {*schema["required"], *(() if "oneOf" not in schema else ("data", "data_b64"))}
    rows = []
    for member, kind in schema["properties"].items():
        more = kind.get("description") or schemas.get(_target(kind), {}).get("description", "")
        rows.append((f"`{member}`", _kind(kind), "yes" if member in required else "", more))
    about = f"{schema['description']}\n\n" if "description" in schema else ""
    one = "One of `data` and `data_b64`.\n\n" if "oneOf" in schema else ""
    return f"### {name}\n\n{about}{one}{_table(('member', 'kind', 'always', 'meaning'), rows)}\n"


def _target(kind: dict[str, Any]) -> str:
    return str(kind.get("$ref", "")).rpartition("/")[2]


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _target(schema)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        words = " or ".join(f"`{value}`" for value in schema["enum"])
        return f"{words}, else `{schema['default']}`" if "default" in schema else words
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = str(schema.get("type", "any"))
    if "maximum" in schema:
        kind += f" {schema.get('minimum', 0):g} to {schema['maximum']:g}"
    elif "maxLength" in schema:
        kind += f" of {schema['maxLength']} at most"
    return f"{kind}, else `{schema['default']}`" if "default" in schema else kind


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main(folder: str) -> None:
    """Writes both files."""
    docs = Path(folder)
    (docs / "api.md").write_text(api())
    file = docs / "monitoring.md"
    file.write_text(monitoring(file.read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
