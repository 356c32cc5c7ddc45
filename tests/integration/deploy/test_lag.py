"""`talklog lag` on a real Kafka and Postgres: records and positions that the test writes itself."""

import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local.ports import free_run
from schemas.topics import PERSISTER_GROUP, SESSION_LOG, USER_MESSAGES, WORKER_GROUP
from tests.service import Service, environment_for, started
from tests.stack import RunningStack, running_stack, talklog

pytestmark = pytest.mark.stack


def partition(servers: RunningStack, group: str, topic: str, shard: int) -> dict[str, Any]:
    told = json.loads(talklog(servers, "lag", "--format", "json", check=False).stdout)
    [found] = [
        part
        for part in told["partitions"]
        if (part["group"], part["topic"], part["shard"]) == (group, topic, shard)
    ]
    return dict(found)


async def write(servers: RunningStack, topic: str, shard: int, count: int) -> int:
    """Write so many records; give the offset of the first."""
    async with AIOKafkaProducer(bootstrap_servers=servers.file.kafka) as producer:
        written = [
            await producer.send_and_wait(topic, b"{}", uuid.uuid4().hex.encode(), partition=shard)
            for _ in range(count)
        ]
    return int(written[0].offset)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Servers of their own: what other tests' groups have committed would be seen here."""
    with running_stack(tmp_path_factory.mktemp("lag"), servers_only=True) as stack:
        yield stack


async def test_the_workers_position_is_what_they_have_committed(servers: RunningStack) -> None:
    first = await write(servers, USER_MESSAGES, 1, 10)
    place = TopicPartition(USER_MESSAGES, 1)
    reader = AIOKafkaConsumer(
        bootstrap_servers=servers.file.kafka, group_id=WORKER_GROUP, enable_auto_commit=False
    )
    async with reader:
        reader.assign([place])
        await reader.commit({place: first + 4})
    seen = partition(servers, WORKER_GROUP, USER_MESSAGES, 1)
    assert (seen["position"], seen["records"]) == (first + 4, 6)
    assert 0 < seen["seconds"] < 60
    assert (seen["health"], seen["rule"]) == ("broken", 5), "nobody runs"


async def test_the_persisters_position_is_its_row_in_postgres(servers: RunningStack) -> None:
    first = await write(servers, SESSION_LOG, 2, 10)
    with psycopg.connect(servers.file.postgres, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO kafka_offsets VALUES (%s, 2, %s, %s)",
            (SESSION_LOG, servers.epoch, first + 9),
        )
        seen = partition(servers, PERSISTER_GROUP, SESSION_LOG, 2)
        assert (seen["position"], seen["committed_to_kafka"]) == (first + 9, None)
        assert seen["records"] == 1
        connection.execute(
            "UPDATE kafka_offsets SET epoch = epoch - 1 WHERE topic = %s AND shard = 2",
            (SESSION_LOG,),
        )
        elsewhere = partition(servers, PERSISTER_GROUP, SESSION_LOG, 2)
        assert elsewhere["position"] is None, "a position in another log"
        connection.execute("DELETE FROM kafka_offsets")


def test_the_exit_code_is_the_health(servers: RunningStack) -> None:
    told = talklog(servers, "lag", "--format", "json", check=False)
    assert (
        told.returncode
        == {"healthy": 0, "warning": 1, "broken": 2}[json.loads(told.stdout)["health"]]
    )
    table = talklog(servers, "lag", check=False)
    assert "talklog-workers" in table.stdout
    assert table.stderr == ""


async def test_the_exporter_shows_it_as_metrics(servers: RunningStack, tmp_path: Path) -> None:
    first = await write(servers, USER_MESSAGES, 5, 3)
    port, output = free_run(1), tmp_path / "exporter.log"
    environment = environment_for(servers) | {"TALKLOG_ADMIN_PORT": str(port)}
    with started(["deploy", "lag-exporter", "--every", "1"], environment, output) as process:
        exporter = Service(process, port, output)
        exporter.until_ready()
        waits = f'group="{WORKER_GROUP}",shard="5",topic="{USER_MESSAGES}"'
        assert exporter.value(f"talklog_lag_records{{{waits}}}") == first + 3
        assert exporter.value("talklog_lag_up") == 1
        exporter.send(signal.SIGTERM)
        assert await exporter.exit_code() == 0
        assert "never awaited" not in output.read_text()
