"""`talklog settings`: every setting with its default, read from the classes that check them.

docs/settings.md is the same list as a page; a test fails when it is old.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from inspect import getmembers, isclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.local.settings import StackSettings
from schemas.process.settings import FILE, Settings, variable

PLACES = (
    ("every process", "schemas.process.connections"),
    ("gateway", "gateway.settings"),
    ("gateway: limits", "gateway.limits.settings"),
    ("workers", "workers.settings"),
    ("persister", "persister.settings"),
)
HEAD = """# Settings

Written by `make docs` from the classes that check them. All come from the environment; a wrong
value or a misspelt `TALKLOG_` name stops a process at its start, with every mistake named at once
and exit code 2 (`TALKLOG_UNKNOWN_NAMES=warn` only says what is misspelt). A secret may lie in a
file instead, which `NAME_FILE` names (without its last newline). The unit is in the name: `_S`
seconds, `_MS` milliseconds, `_BYTES` bytes.
"""


class Format(Enum):
    """How the list is written."""

    text = "text"
    markdown = "markdown"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its variable, its default, which values it takes, what it means."""

    name: str
    default: str
    allowed: str
    meaning: str


def settings(form: Annotated[Format, typer.Option("--format")] = Format.text) -> None:
    """List every setting with its default."""
    print(markdown() if form is Format.markdown else text(), end="")


def text() -> str:
    """The list for a terminal."""
    blocks = []
    for title, listed in sections():
        lines = [f"  {s.name:<34} {s.default:<28} {s.meaning}".rstrip() for s in listed]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks) + "\n"


def markdown() -> str:
    """The list as a page."""
    parts = [HEAD]
    for title, listed in sections():
        rows = [f"| `{s.name}` | {s.default} | {s.allowed} | {s.meaning} |" for s in listed]
        head = ["| variable | default | values | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([f"## {title[0].upper()}{title[1:]}", "", *head, *rows, ""]))
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, list[Setting]]]:
    """Each tier's own settings, under its title."""
    fields = StackSettings.model_fields.items()
    yield "the local stack", [_setting(field.alias or name, field) for name, field in fields]
    for title, place in PLACES:
        yield title, list(_of(place))


def _of(place: str) -> Iterator[Setting]:
    """The settings that a module's classes declare themselves, in their order."""
    module = import_module(place)
    for _, found in getmembers(module, isclass):
        if issubclass(found, Settings) and found.__module__ == place:
            for name, field in found.model_fields.items():
                if name in found.__annotations__:
                    yield _setting(variable(name, field), field)


def _setting(name: str, field: FieldInfo) -> Setting:
    default = "" if field.default is None else str(field.default)
    if field.default is PydanticUndefined:
        default = "(required)"
    meaning = field.description or ""
    if not field.repr:
        meaning += f"; or in the file that `{name}{FILE}` names"
    return Setting(name, default, _allowed(field), meaning)


def _allowed(field: FieldInfo) -> str:
    """Which values it takes: a choice, or a type with its bounds."""
    kinds = [kind for kind in _kinds(field.annotation) if kind is not type(None)]
    if get_origin(kinds[0]) is Literal:
        return ", ".join(str(choice) for choice in get_args(kinds[0]))
    names = {bool: "true, false", int: "whole number", float: "number"}
    words = [names.get(kinds[0], "text"), *_bounds(field.metadata)]
    return " ".join(words)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    union = get_origin(annotation) in (types.UnionType,)
    return get_args(annotation) if union else (annotation,)


def _bounds(metadata: list[Any]) -> Iterator[str]:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    for rule in metadata:
        for attribute, sign in signs.items():
            if (bound := getattr(rule, attribute, None)) is not None:
                yield f"{sign} {bound:,}"
