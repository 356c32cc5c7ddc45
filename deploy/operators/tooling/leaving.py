"""How a command ends that can't go on."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer


def leave(command: str, problem: str, code: int) -> NoReturn:
    """Say the problem on stderr, each line with the command's name, and leave with this code."""
    for line in problem.splitlines():
        print(f"{command}: {line}", file=sys.stderr)
    raise typer.Exit(code)
