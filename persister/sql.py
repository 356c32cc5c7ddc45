"""The statements of queries.sql, by name."""

import re
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _statements() -> dict[str, LiteralString]:
    parts = _NAME.split(files("persister").joinpath("queries.sql").read_text())
    # The file is part of the program, as a literal in the code would be.
    return {
        name: cast(LiteralString, text.strip().rstrip(";"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


STATEMENTS: dict[str, LiteralString] = _statements()
