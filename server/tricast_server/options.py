"""The settings as options of a command: `--retention-count 5`, or TRICAST_RETENTION_COUNT=5."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from tricast_server.settings import Settings


def option(name: str, help: str, *, names: tuple[str, ...] = (), **more: Any) -> Any:
    """For an annotation: `--name`, or else these names, which TRICAST_NAME sets too."""
    return typer.Option(
        *(names or (f"--{name}",)), envvar=f"TRICAST_{name.upper().replace('-', '_')}", help=help, **more
    )


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command that takes `**values` an option for each of the settings; `settings_of` reads them."""
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    command.__signature__ = signature.replace(parameters=[*own, *_parameters()])  # type: ignore[attr-defined]
    return command


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Raises typer.BadParameter where they do not go together."""
    given: dict[str, Any] = {}
    for field in fields(Settings):
        value = values.get(field.name)
        if value is None:
            continue
        given[field.name] = (*_default(field), *value) if isinstance(value, list) else value
    try:
        return Settings(**given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _parameters() -> Iterator[inspect.Parameter]:
    types: dict[str, Any] = get_type_hints(Settings)
    for field in fields(Settings):
        kind: Any = types[field.name]
        default = _default(field)
        name = field.metadata["option"] or field.name.replace("_", "-")
        if kind == tuple[str, ...]:
            kind, default = list[str] | None, None  # given ones are added to the default
        if field.default_factory is not MISSING:
            kind, default = kind | None, None
        chosen = option(name, field.metadata["help"], rich_help_panel=field.metadata["panel"])
        annotation: Any = Annotated[kind, chosen]
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default(field: Field[Any]) -> Any:
    return None if field.default is MISSING else field.default
