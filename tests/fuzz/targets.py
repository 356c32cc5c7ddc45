"""The targets by name, where their entries lie, and what of the project each of them is about."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
WORK = ROOT / ".cache" / "fuzz"
TARGETS = ("client_frame", "places", "token", "event", "stream")
PROJECT = ("gateway", "persister", "schemas", "workers")
"""What is watched for new ways through it."""
KEPT_MAX = 40
"""So many entries a target are kept at most,"""
ENTRY_MAX_BYTES = 4096
"""and none that is longer."""


def checker(target: str) -> Callable[[bytes], None]:
    """Give a target's function."""
    check: Callable[[bytes], None] = import_module(f"tests.fuzz.{target}").check
    return check


def entries(target: str) -> list[Path]:
    """Give what is kept of a target, in order."""
    return sorted(path for path in (CORPUS / target).iterdir() if path.is_file())
