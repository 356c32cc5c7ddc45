"""`talklog rebuild` that does not begin: it needs no log of its own."""

import asyncio
import os
import subprocess
import sys

import psycopg
import pytest

from tests.integration.persister.conftest import Database, Persisters

pytestmark = pytest.mark.stack


async def test_one_rebuild_at_a_time(database: Database, persisters: Persisters) -> None:
    with psycopg.connect(database.dsn) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('talklog rebuild')::bigint)")
        assert (await asyncio.to_thread(persisters.talklog, "rebuild")).returncode == 3


def test_settings_that_are_missing_are_named(tmp_path: "os.PathLike[str]") -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "rebuild"],
        env=os.environ | {"STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "TALKLOG_KAFKA is not set" in done.stderr
