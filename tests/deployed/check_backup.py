"""Backup and restore as docs/deploy.md says: a dump, and the log for what came after it."""

import subprocess
from pathlib import Path

from deploy.local.postgres import binaries
from tests.deployed.installation import here, installed, new_database
from tests.deployed.story import answer, is_stored
from tests.scripted_model.control import scripted_model
from tests.stack import RunningStack

RESTORED = "restored"


def postgres(program: str, *arguments: str | Path) -> None:
    """Run one of Postgres' own programs."""
    line = [str(word) for word in (binaries() / program, *arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_restored_database_catches_up_from_the_log(
    servers: RunningStack, tmp_path: Path
) -> None:
    dump = tmp_path / "talklog.dump"
    with scripted_model("tokens=20") as model:
        async with installed(servers, tmp_path, model.url, here) as installation:
            before = await answer(installation, "backup-1")
            await is_stored(installation, "backup-1", before)
            postgres("pg_dump", "--format=custom", f"--file={dump}", installation.dsn)
            after = await answer(installation, "backup-2")
            await is_stored(installation, "backup-2", after)

            assert installation.stop("persister") == 0
            dsn = new_database(servers.file.postgres, RESTORED)
            restore = ("--exit-on-error", "--no-owner", f"--dbname={dsn}")
            postgres("pg_restore", *restore, dump)
            (installation.secrets / "postgres_dsn").chmod(0o644)
            (installation.secrets / "postgres_dsn").write_text(dsn)
            migrated = installation.run("migrate")
            assert migrated.stdout == "migrate: nothing to do\n", migrated.stderr

            with installation.running("persister"):
                await is_stored(installation, "backup-1", before)
                await is_stored(installation, "backup-2", after)
                for command in (["lag"], ["verify"], ["rebuild", "--compare"]):
                    done = installation.run("lag", "deploy", *command)
                    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
