"""Kafka's jars, fetched once with Maven into .cache/kafka.

The folder appears whole or not at all: an interrupted download leaves nothing that looks done.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import deploy
from deploy.local.program import StartFailed

FOLDER = Path(deploy.__file__).resolve().parent.parent / ".cache" / "kafka" / "jars-4.1.1"
SHOW_EVERY = 25
DOWNLOADED = re.compile(r"Downloaded from .*/([^/ ]+\.jar) \(([\d.]+ [kMG]?B)")


def fetch(say: Callable[[str], None]) -> Path:
    """The folder with the jars, fetched if need be.

    Raises:
        StartFailed: there is no Maven, or it failed.
    """
    if FOLDER.exists():
        return FOLDER
    maven = shutil.which("mvn")
    if maven is None:
        raise StartFailed("kafka: there is no mvn to fetch Kafka with: install Maven")
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    say("fetching Kafka's jars with Maven (46 files, 43 MB)")
    with (
        tempfile.TemporaryDirectory(dir=FOLDER.parent, prefix="fetching-") as making,
        as_file(files("deploy") / "kafka" / "pom.xml") as pom,
    ):
        _run_maven(maven, pom, Path(making) / "jars", say)
        # Another start may have been faster: then its folder is as good.
        with contextlib.suppress(FileExistsError, OSError):
            (Path(making) / "jars").rename(FOLDER)
    return FOLDER


def _run_maven(maven: str, pom: Path, into: Path, say: Callable[[str], None]) -> None:
    command = [
        maven,
        "--batch-mode",
        "--file",
        str(pom),
        f"-Dmaven.repo.local={_repository()}",
        f"-DoutputDirectory={into}",
        "dependency:copy-dependencies",
    ]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    count = 0
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        lines = [*lines[-20:], line.rstrip()]
        if found := DOWNLOADED.search(line):
            count += 1
            if "MB" in found[2] or count % SHOW_EVERY == 0:
                say(f"  {count} files; {found[1]}, {found[2]}")
    if process.wait():
        text = "\n".join(line for line in lines if "ERROR" in line) or "\n".join(lines)
        if "No space left on device" in text:
            raise StartFailed("kafka: the disk is full, its jars could not be fetched")
        raise StartFailed(f"kafka: Maven could not fetch its jars:\n{text}")


def _repository() -> Path:
    """Maven's store: under HOME, which Java would not ask by itself, or in our own cache."""
    home = Path(os.environ.get("HOME") or "/nonexistent")
    return home / ".m2" / "repository" if os.access(home, os.W_OK) else FOLDER.parent / "m2"
