"""Asks Kafka and Postgres for one sample: ends, positions, members, the age of what waits.

Everything is asked with a time-out of its own; what does not answer becomes a note in the sample,
except Kafka, without which there is nothing to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.operators.lag.sample import GroupShard, Sample, Standing
from deploy.operators.tooling.coordinator import REQUEST_S, committed_by, coordinated
from schemas.brokers import Kafka
from schemas.log.kafka_client import Admin
from schemas.log.log_reader import LogUnavailable, answered, consumer, next_offset
from schemas.topics import PERSISTER_GROUP, SESSION_LOG, USER_MESSAGES, WORKER_GROUP

POSTGRES_S = 5
OLDEST_S = 3.0
NO_RECORD = 0
"""Not a time: up to the log's end no offset holds a record."""
READS = {WORKER_GROUP: (USER_MESSAGES,), PERSISTER_GROUP: (USER_MESSAGES, SESSION_LOG)}
"""The topics that each group reads."""


@dataclass(slots=True)
class Watcher:
    """Connections to the brokers, kept from sample to sample."""

    admin: AIOKafkaAdminClient
    reader: AIOKafkaConsumer
    partitions: list[TopicPartition]
    postgres: str | None
    epoch: int | None
    notes: list[str] = field(default_factory=list)

    async def sample(self, at_ms: int) -> Sample:
        """See how everything is now; `at_ms` is the Unix time (ms). Raises LogUnavailable."""
        self.notes = []
        committed = {group: await committed_by(self.admin, group) for group in READS}
        stored = await asyncio.to_thread(self._stored) if self.postgres else None
        # The end is asked after the positions: a reader that moves must not seem to be past it.
        ends = await answered(self.reader.end_offsets(self.partitions), REQUEST_S)
        starts = await answered(self.reader.beginning_offsets(self.partitions), REQUEST_S)
        positions = self._positions(committed, stored)
        # A position before the log's start has no record any more: the oldest is the log's first.
        places = {
            key: max(starts[key[1]], position or 0)
            for key, position in positions.items()
            if (position or starts[key[1]]) < ends[key[1]]
        }
        oldest = await self._oldest(((tp, place) for (_, tp), place in places.items()), ends)
        shards = {}
        for (group, tp), position in positions.items():
            place = places.get((group, tp))
            oldest_ms = None if place is None else oldest.get((tp, place))
            shards[GroupShard(group, tp.topic, tp.partition)] = Standing(
                start=starts[tp],
                end=ends[tp],
                position=position,
                committed=committed[group].get(tp),
                oldest_ms=oldest_ms or None,
                no_record_waits=oldest_ms == NO_RECORD,
            )
        return Sample(at_ms, shards, await self._members(), tuple(self.notes))

    async def _members(self) -> dict[str, int]:
        return {group: await self._members_of(group) for group in READS}

    async def _members_of(self, group: str) -> int:
        # One group a question: aiokafka 0.14 misreads an answer that describes two.
        [response] = await coordinated(lambda: self.admin.describe_consumer_groups([group]))
        # Of a DescribeGroups answer: error, group, state, protocol type, protocol, members …
        [(_, _, _, _, _, processes, *_)] = response.groups
        return len(processes)

    def _positions(
        self,
        committed: Mapping[str, Mapping[TopicPartition, int]],
        stored: Mapping[TopicPartition, int] | None,
    ) -> dict[tuple[str, TopicPartition], int | None]:
        truth = dict(committed)
        if stored is not None:
            truth[PERSISTER_GROUP] = stored
        return {
            (group, tp): truth[group].get(tp)
            for group, topics in READS.items()
            for tp in self.partitions
            if tp.topic in topics
        }

    def _stored(self) -> dict[TopicPartition, int] | None:
        """The persister's own positions; None (and a note) if Postgres does not answer."""
        import psycopg

        query = files("deploy.operators.lag").joinpath("positions.sql").read_text()
        try:
            with psycopg.connect(self.postgres or "", connect_timeout=POSTGRES_S) as connection:
                connection.execute(f"SET LOCAL statement_timeout = '{POSTGRES_S}s'")
                rows = connection.execute(query).fetchall()
        except psycopg.Error as error:
            why = str(error).strip().splitlines()[0]
            self.notes.append(
                f"Postgres did not answer ({why}): shown of the persister is what it told Kafka"
            )
            return None
        epoch = self.epoch or max((row[2] for row in rows), default=0)
        # A position of another epoch belongs to another log, and says nothing of this one.
        return {TopicPartition(row[0], row[1]): row[3] for row in rows if row[2] == epoch}

    async def _oldest(
        self, places: Iterable[tuple[TopicPartition, int]], ends: Mapping[TopicPartition, int]
    ) -> dict[tuple[TopicPartition, int], int]:
        """When the first records from these places on were written (ms), or NO_RECORD."""
        found: dict[tuple[TopicPartition, int], int] = {}
        waiting = sorted(set(places))
        # Two groups may wait at two offsets of one partition: ask for one of them at a time.
        while waiting:
            now = {tp: offset for tp, offset in reversed(waiting)}
            waiting = [(tp, offset) for tp, offset in waiting if now[tp] != offset]
            found |= {(tp, now[tp]): at for tp, at in (await self._written_at(now, ends)).items()}
        return found

    async def _written_at(
        self, places: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        self.reader.assign(list(places))
        for tp, offset in places.items():
            self.reader.seek(tp, offset)
        found: dict[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(OLDEST_S):
                while len(found) < len(places):
                    batches = await self.reader.getmany(timeout_ms=100, max_records=len(places))
                    for tp, records in batches.items():
                        found.setdefault(tp, records[0].timestamp)
                        self.reader.pause(tp)
                    for tp in places.keys() - found.keys():
                        # Transactions' markers, and what compaction took, have offsets as well.
                        if (next_offset(self.reader, tp) or 0) >= ends[tp]:
                            found[tp] = NO_RECORD
        except TimeoutError:  # an empty shard, or one without a leader: its age is not known
            pass
        except KafkaError as error:
            self.notes.append(f"the age of what waits could not be read: {error}")
        return found


@asynccontextmanager
async def watching(kafka: Kafka, postgres: str | None, epoch: int | None) -> AsyncIterator[Watcher]:
    """Connect for as many samples as are wanted.

    Raises:
        LogUnavailable: no broker answered, or there are no topics.
    """
    admin = Admin(kafka, request_timeout_ms=int(REQUEST_S * 1000))
    reader = consumer(kafka, max_partition_fetch_bytes=4096, fetch_max_wait_ms=50)
    try:
        await answered(admin.start(), REQUEST_S)
        await answered(reader.start(), REQUEST_S)
        yield Watcher(admin, reader, await _partitions(admin), postgres, epoch)
    except KafkaError as error:
        raise LogUnavailable(f"{kafka}: {error}") from error
    finally:
        for closing in (reader.stop(), admin.close()):
            await answered(closing, REQUEST_S)


async def _partitions(admin: AIOKafkaAdminClient) -> list[TopicPartition]:
    wanted = sorted({topic for topics in READS.values() for topic in topics})
    missing = set(wanted) - set(await answered(admin.list_topics(), REQUEST_S))
    if missing:
        raise LogUnavailable(f"there is no topic {', '.join(sorted(missing))}")
    described = await answered(admin.describe_topics(wanted), REQUEST_S)
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in sorted(topic["partitions"], key=lambda each: int(each["partition"]))
    ]
