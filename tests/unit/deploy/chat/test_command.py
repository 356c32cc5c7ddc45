"""What is typed to begin a chat is checked before anything is connected to."""

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.__main__ import build

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("session", ["a b", "ä", "a/b", "x" * 256])
def test_a_session_id_that_can_be_none_is_told_with_exit_2(session: str) -> None:
    told = CliRunner().invoke(build("chat"), ["chat", "--session", session], input="hi")
    assert told.exit_code == 2
    assert "can't be a session's id: 1 to 255 of" in told.stderr


@pytest.mark.parametrize("target", ["chat", "replay"])
@pytest.mark.parametrize("session", ["a b", "a'b", '"; echo no', "`echo no`", "abc"])
def test_make_hands_on_what_was_typed(tmp_path: Path, target: str, session: str) -> None:
    told = tmp_path / "told"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nfor each in "$@"; do printf "%s\\n" "$each"; done > {told}\n')
    python.chmod(0o755)
    make = ["make", "-s", "-o", "install-run", target, f"PY={python}", f"SESSION={session}"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    subprocess.run(make, cwd=ROOT, env=environment, check=True, timeout=30)
    assert told.read_text().splitlines() == ["-m", "deploy", target, "--session", session]
