"""Statements in a file of SQL, by their `-- name:` lines."""

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def statements(package: str, file: str) -> dict[str, LiteralString]:
    """Read the statements of a package's file."""
    parts = _NAME.split(files(package).joinpath(file).read_text())
    # The file is part of the program, as a literal in the code would be.
    return {
        name: cast(LiteralString, text.strip().rstrip(";"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


STATEMENTS: dict[str, LiteralString] = statements("persister", "queries.sql")
