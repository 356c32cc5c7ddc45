"""The supervisor on real servers: what dies comes back, what is stopped is gone."""

from pathlib import Path

import msgspec
import psutil
import psycopg
import pytest

from deploy.local import kept, process_list
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, wait_until

pytestmark = pytest.mark.stack


def test_a_killed_server_is_started_again_on_the_same_port(servers: RunningStack) -> None:
    dsn, before = servers.file.postgres, servers.pid("postgres")
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    servers.kill("postgres")
    wait_until(lambda: servers.pid("postgres") not in (0, before), WITHIN_S, "another postgres")
    wait_until(lambda: servers.state_of("postgres") == "ready", WITHIN_S, "it is ready")

    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert servers.file.postgres == dsn
    assert "killed by SIGKILL" in (servers.state / "run.log").read_text()


def test_nothing_is_left_and_the_data_is_there_at_the_next_start(tmp_path: Path) -> None:
    """The cluster's id begins with a dash, as one in 64 does, and is no option for all that."""
    new = kept.load(tmp_path, brokers=1, shards=8)
    kept.save(tmp_path, msgspec.structs.replace(new, cluster_id="-" + new.cluster_id[1:]))
    with running_stack(tmp_path, servers_only=True) as stack:
        assert stack.state_of("kafka") == "ready"
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


def test_with_restart_0_the_dead_stay_dead_until_started_and_all_die_with_the_supervisor(
    tmp_path: Path,
) -> None:
    with running_stack(tmp_path, servers_only=True, RESTART="0") as stack:
        before = stack.pid("redis")
        stack.kill("redis")
        wait_until(lambda: stack.state_of("redis") == "dead", WITHIN_S, "redis is dead")
        # The one file is written after the other.
        wait_until(lambda: stack.file.others["redis"] == 0, WITHIN_S, "stack.json says so")

        talklog(stack, "start")
        wait_until(lambda: stack.state_of("redis") == "ready", WITHIN_S, "redis is ready")
        assert stack.pid("redis") not in (0, before)

        listed = process_list.read(tmp_path)
        psutil.Process(stack.supervisor_pid).kill()
        wait_until(lambda: not any(map(process_list.lives, listed)), WITHIN_S, "all are dead")


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
