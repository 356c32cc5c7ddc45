"""Statements of SQL by name: a file's text in, each statement under its `-- name:` line out."""

import re
from importlib.resources import files
from typing import LiteralString, cast

import msgspec

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, LiteralString]:
    """Give the statements of a file; what stands before the first name belongs to none."""
    parts = _NAME.split(text)
    # The file is part of the program, as a literal in the code would be.
    return {
        name: cast(LiteralString, statement.strip().rstrip(";"))
        for name, statement in zip(parts[1::2], parts[2::2], strict=True)
    }


def statements(package: str, file: str) -> dict[str, LiteralString]:
    """Read the statements of a package's file."""
    return parse(files(package).joinpath(file).read_text())


def json_of(rows: object) -> str:
    """Give rows as a statement takes many of them at once: as text of JSON."""
    return msgspec.json.encode(rows).decode()
