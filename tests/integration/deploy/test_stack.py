"""The supervisor on real servers: what dies comes back, what is stopped is gone."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import psycopg
import pytest

from deploy.local import kept, process_list
from tests.stack import RunningStack, running_stack, talklog

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


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(tmp_path: Path) -> None:
    new = kept.load(tmp_path, brokers=1, shards=8)
    kept.save(tmp_path, msgspec.structs.replace(new, cluster_id="-" + new.cluster_id[1:]))
    with running_stack(tmp_path, servers_only=True) as stack:
        assert stack.state_of("kafka") == "ready"


def test_servers_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    with running_stack(tmp_path, servers_only=True, RESTART="0") as stack:
        listed = process_list.read(tmp_path)
        psutil.Process(stack.supervisor_pid).kill()
        wait_for(lambda: not any(process_list.lives(each) for each in listed))


def test_with_restart_0_a_killed_server_stays_dead_until_it_is_started(tmp_path: Path) -> None:
    with running_stack(tmp_path, servers_only=True, RESTART="0") as stack:
        before = stack.pid("redis")
        stack.kill("redis")
        wait_for(lambda: stack.state_of("redis") == "dead")
        wait_for(lambda: stack.file.others["redis"] == 0)  # the one file is written after the other

        talklog(stack, "start")
        wait_for(lambda: stack.state_of("redis") == "ready")
        assert stack.pid("redis") not in (0, before)


def test_servers_that_are_given_are_used_and_not_started(
    servers: RunningStack, tmp_path: Path
) -> None:
    given = {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_REDIS_URL": servers.file.redis,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
    }
    with running_stack(
        tmp_path, servers_only=True, TALKLOG_EPOCH=str(servers.epoch), **given
    ) as stack:
        assert process_list.read(tmp_path) == []
        assert stack.file.kafka == servers.file.kafka
        assert stack.file.brokers == []
        assert stack.file.others == {}

    with (
        pytest.raises(AssertionError, match=r"set TALKLOG_EPOCH(?s:.)*"),
        running_stack(tmp_path / "unknown", servers_only=True, **given),
    ):
        pass


def test_a_second_stack_in_the_same_folder_is_told_that_one_runs(servers: RunningStack) -> None:
    again = talklog(servers, "run", check=False)
    assert again.returncode == 3
    assert "already runs" in again.stdout
    assert talklog(servers, "status").returncode == 0
