"""The supervisor on real servers: what dies comes back, what is stopped is gone."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.local import process_list
from tests.stack import RunningStack, running_stack

pytestmark = pytest.mark.stack


def wait_for(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_killed_server_is_started_again_on_the_same_port(servers: RunningStack) -> None:
    dsn, before = servers.file.postgres, servers.pid("postgres")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    servers.kill("postgres")
    wait_for(lambda: servers.pid("postgres") not in (0, before))
    wait_for(lambda: servers.state_of("postgres") == "ready")

    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert servers.file.postgres == dsn
    assert "killed by SIGKILL" in (servers.state / "run.log").read_text()


def test_nothing_is_left_and_the_data_is_there_at_the_next_start(tmp_path: Path) -> None:
    with running_stack(tmp_path, servers_only=True) as stack:
        listed = process_list.read(tmp_path)
        first, epoch = stack.file, stack.epoch
        with psycopg.connect(first.postgres) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert {each.name for each in listed} == {"kafka", "postgres", "redis"}
    assert not any(process_list.lives(each) for each in listed)
    assert not (tmp_path / "stack.json").exists()

    with running_stack(tmp_path, servers_only=True) as stack:
        assert (stack.file.kafka, stack.file.postgres) == (first.kafka, first.postgres)
        assert stack.epoch == epoch
        with psycopg.connect(first.postgres) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_servers_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    with running_stack(tmp_path, servers_only=True, RESTART="0") as stack:
        listed = process_list.read(tmp_path)
        psutil.Process(stack.supervisor_pid).kill()
        wait_for(lambda: not any(process_list.lives(each) for each in listed))
