"""PgBouncer, Debian's, in transaction mode before a Postgres."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from deploy.local.ports import free_run
from deploy.local.postgres import user_to_run_as
from deploy.local.program import wrapped
from tests.stack import end
from tests.waiting import WITHIN_S, wait_until

CONFIG = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
server_lifetime = 3600
"""


@contextlib.contextmanager
def pgbouncer(dsn: str, folder: Path) -> Iterator[str]:
    """Run it until the block ends; gives the address of the same database behind it."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found is not None, "pgbouncer is not installed"
    server, port, uid = urlsplit(dsn), free_run(1), user_to_run_as()
    users, config = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password}"\n')
    config.write_text(CONFIG.format(server_port=server.port, port=port, users=users))
    if uid is not None:
        # It refuses to run as root; the folders above are root's alone.
        for path in (users, config, folder):
            os.chown(path, uid, -1)
        for parent in folder.parents[:4]:
            parent.chmod(parent.stat().st_mode | 0o111)
    output = folder / "pgbouncer.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            wrapped([found, str(config)], uid=uid, death_signal=signal.SIGKILL),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    place = server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{port}").geturl()

    def answers() -> bool:
        assert process.poll() is None, output.read_text()
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(place, connect_timeout=2).close()
            return True
        return False

    try:
        wait_until(answers, WITHIN_S, output.read_text)
        yield place
    finally:
        end(process, 10.0)
