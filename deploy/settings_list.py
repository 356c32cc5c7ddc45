"""`talklog settings`: every setting with its default, read from the classes that check them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from inspect import getmembers, isclass

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deploy.local.settings import StackSettings
from schemas.settings import Settings, variable

PLACES = (
    ("every process", "schemas.connections"),
    ("gateway", "gateway.settings"),
    ("workers", "workers.settings"),
    ("persister", "persister.settings"),
)


def settings() -> None:
    """List every setting with its default."""
    print("the local stack")
    for name, field in StackSettings.model_fields.items():
        print(line(field.alias or name, field))
    shown = {field.alias for field in StackSettings.model_fields.values()}
    for title, place in PLACES:
        lines = [line(name, field) for name, field in _of(place) if name not in shown]
        shown.update(name for name, _ in _of(place))
        if lines:
            print(f"\n{title}", *lines, sep="\n")


def line(name: str, field: FieldInfo) -> str:
    """One setting: its variable, its default, what it means."""
    default = "" if field.default in (None, PydanticUndefined) else str(field.default)
    if field.default is PydanticUndefined:
        default = "(required)"
    return f"  {name:<34} {default:<28} {field.description or ''}".rstrip()


def _of(place: str) -> Iterator[tuple[str, FieldInfo]]:
    """The settings that a module's classes declare, in their order."""
    if find_spec(place.partition(".")[0]) is None or find_spec(place) is None:
        return
    module = import_module(place)
    for _, found in getmembers(module, isclass):
        if issubclass(found, Settings) and found.__module__ == place:
            yield from (
                (variable(name, field), field) for name, field in found.model_fields.items()
            )
