"""The files of `schemas/postgres`, in the order in which they make the tables."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One file: plain SQL, with a name such as `0002.messages_and_answers` and its number."""

    name: str
    number: str
    statements: bytes


def schema_files() -> list[SchemaFile]:
    """Read them all."""
    found = [
        SchemaFile(file.name.removesuffix(".sql"), file.name.partition(".")[0], file.read_bytes())
        for file in files("schemas").joinpath("postgres").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda file: file.number)
