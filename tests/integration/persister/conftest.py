"""A database of each test's own, the log of all, and persisters as real processes."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg.rows import dict_row

from deploy.local.program import wrapped
from deploy.operators.migrate import migrate
from schemas.events import Event, encode
from schemas.topics import DEAD_LETTERS, shard_of
from tests.service import environment_for
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, until
from tests.written import topic_of

SHARDS = 8
COMMAND_WITHIN_S = 120.0


@dataclass
class Database:
    """A database with the tables; asks with a connection of its own each time."""

    dsn: str

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: object) -> Any:
        [row] = self.rows(query, *values)
        [value] = row.values()
        return value

    def text(self, session_id: str) -> str:
        """The seed's replay."""
        rows = self.rows(
            "SELECT content FROM streaming_messages WHERE session_id = %s ORDER BY chunk_sequence",
            session_id,
        )
        return "".join(row["content"] for row in rows)

    def ended(self, like: str) -> int:
        """How many answers of these sessions have their terminal."""
        query = "SELECT count(*) FROM answers WHERE session_id LIKE %s AND ended_at IS NOT NULL"
        return int(self.value(query, like))


@dataclass
class Persisters:
    """Starts persisters, and ends those that are left."""

    environment: dict[str, str]
    folder: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, **settings: object) -> "subprocess.Popen[bytes]":
        own = {f"TALKLOG_{name.upper()}": str(value) for name, value in settings.items()}
        path = self.folder / f"persister-{len(self.processes)}.log"
        with path.open("ab") as output:
            process = subprocess.Popen(
                wrapped([sys.executable, "-m", "persister"], uid=None, death_signal=signal.SIGKILL),
                env=self.environment | own,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def talklog(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `talklog` as an operator would beside them."""
        return subprocess.run(
            [sys.executable, "-m", "deploy", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN_S,
        )

    def written(self) -> str:
        """What all of them have logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("persister-*.log")))

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@dataclass
class Log:
    """Writes events as gateways and workers do."""

    bootstrap: str
    producer: AIOKafkaProducer

    async def append(self, events: Sequence[Event]) -> None:
        await asyncio.gather(*[await self._send(event) for event in events])

    async def append_raw(
        self, topic: str, shard: int, key: bytes | None, value: bytes | None
    ) -> int:
        sent = await self.producer.send_and_wait(topic, key=key, value=value, partition=shard)
        return int(sent.offset)

    async def dead_letters(self, key: bytes) -> list[dict[str, bytes]]:
        """Headers, and the value, of the dead letters with this key."""
        partition = TopicPartition(DEAD_LETTERS, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            found = []
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [r for r in records if r.key == key]
        finally:
            await consumer.stop()
        return [dict(record.headers) | {"value": record.value or b""} for record in found]

    async def _send(self, event: Event) -> "asyncio.Future[Any]":
        sent: asyncio.Future[Any] = await self.producer.send(
            topic_of(event),
            key=event.session_id.encode(),
            value=encode(event),
            partition=shard_of(event.session_id, SHARDS),
        )
        return sent


@pytest.fixture
def database(servers: RunningStack, request: pytest.FixtureRequest) -> Iterator[Database]:
    name = f"persister_{time.monotonic_ns()}"
    with psycopg.connect(servers.file.postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        dsn = urlunsplit(urlsplit(servers.file.postgres)._replace(path=f"/{name}"))
        migrate(dsn)
        yield Database(dsn)
        with contextlib.suppress(psycopg.Error):
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def persisters(servers: RunningStack, database: Database, tmp_path: Path) -> Iterator[Persisters]:
    environment = environment_for(servers) | {
        "TALKLOG_POSTGRES_DSN": database.dsn,
        "TALKLOG_SHARDS": str(SHARDS),
    }
    started = Persisters(environment, tmp_path)
    yield started
    started.end()


@pytest.fixture
async def log(servers: RunningStack) -> AsyncIterator[Log]:
    producer = AIOKafkaProducer(bootstrap_servers=servers.file.kafka, enable_idempotence=True)
    await producer.start()
    yield Log(servers.file.kafka, producer)
    await producer.stop()


async def wait_for(condition: Callable[[], object], within_s: float = WITHIN_S) -> None:
    """Wait until it is true; what it asks may be away for a while."""

    def holds() -> object:
        with contextlib.suppress(psycopg.OperationalError):
            return condition()
        return False

    await until(holds, within_s, "what the tables or the persister should say")
