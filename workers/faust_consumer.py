"""Faust's consumer, mended where the library would lose, skip or starve records.

What was found, and is tested against the library:

* Where nothing is committed yet (or 0), aiokafka's `seek_to_committed` does not seek, and what
  Faust had fetched and thrown away during a rebalance is gone: later acknowledgements commit past
  it. So this consumer seeks to the log's start there, and says where each delivery begins.
* Faust holds for committed what the group has refused to commit (the member was thrown out while
  the broker stood still), and would skip it, or acknowledge nothing before it. Here only what the
  broker has said or taken is.
* aiokafka asks for the starts of all partitions or gives none: one without a leader would end every
  worker at every rebalance. `FairThread` asks for those that have one; the others are delivered
  from the group's position when they have a leader again.
* aiokafka gives what it has fetched of one partition to its end before it begins with the next:
  behind a backlog a partition would wait for all others. `FairThread` gives of each in turn.
* At rest Faust's timers are a third of what a worker costs: it tries to commit twice a second
  though nothing was acknowledged, looks for stalls that `schemas.process.reader_watch` finds, and
  counts for statistics that nobody reads (`QuietMonitor`).
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import IllegalStateError
from faust.sensors import Monitor
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP
from mode import Service

from schemas.log.log_reader import LogUnavailable, offsets_of
from schemas.topics import USER_MESSAGES

log = structlog.get_logger(__name__)

BATCH_RECORDS = 100
"""What is delivered beyond the intake's bound is one such batch at most."""
TURN_PARTITIONS = 20
"""So many partitions share a batch."""


class QuietMonitor(Monitor):
    """Faust's monitor without its beat each second."""

    @Service.task
    async def _sampler(self) -> None:
        """Compute no averages: our metrics are our own."""


class FairThread(AIOKafkaConsumerThread):
    """Gives of each partition in turn what was fetched of it: a share of the batch to each."""

    async def _keepalive2(self) -> None:
        """Do not wake the loop of the process each second: calls and answers wake it."""

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Mapping[TP, list[Any]]:
        fetched: dict[TP, Any] = consumer._fetcher._records
        turn = [tp for tp, it in fetched.items() if tp in active_partitions and _is_batch(it)]
        given: dict[TP, list[Any]] = {}
        share = max(1, (max_records or BATCH_RECORDS) // max(1, len(turn[:TURN_PARTITIONS])))
        for tp in turn[:TURN_PARTITIONS]:
            given |= await super()._fetch_records(consumer, {tp}, 0, share)
            if tp in fetched:  # there is more: its next turn comes behind the others
                fetched[tp] = fetched.pop(tp)
        if given:
            return given
        return await super()._fetch_records(consumer, active_partitions, timeout, max_records)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Ask for the log's starts; none of a partition without a leader. Raises LogUnavailable."""
        starts: Mapping[TP, int] = await self.call_thread(
            offsets_of, self._ensure_consumer(), partitions, "starts"
        )
        return {TP(*partition): start for partition, start in starts.items()}


def _is_batch(fetched: Any) -> bool:
    """Say whether it is records; an error is raised when nothing else is left to give."""
    return isinstance(fetched, FetchResult)


class SeekingConsumer(Consumer):
    """Begins at the group's position, or at the log's start where the group has none.

    `begins` says where that is, for each partition of the assignment.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.begins: dict[int, int] = {}
        self._group_stands: dict[TP, int | None] = {}
        self._acknowledged = asyncio.Event()

    def ack(self, message: Any) -> bool:
        """Note that a record is done; a while later that is committed."""
        done: bool = super().ack(message)
        self._acknowledged.set()
        return done

    @Service.task
    async def _commit_handler(self) -> None:
        while not self.should_stop:
            if not any(self._acked.values()):
                self._acknowledged.clear()
                await self._acknowledged.wait()
            await self.sleep(self.commit_interval)
            await self.commit()

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Leave that to the reader's watch."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return FairThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Go back to where the group stands; after a rebalance, before anything is delivered."""
        await super().perform_seek()
        mine = [tp for tp in self.assignment() if tp.topic == USER_MESSAGES]
        for tp in mine:
            # What the broker has just said; `_committed_offset` keeps what it had if that is None.
            self._group_stands[tp] = self._committed_offset[tp] = self._read_offset[tp]
        starts = await self._starts(mine) if mine else {}
        for tp in set(mine) - starts.keys():
            await self._begin_without_start(tp)
        for tp, start in starts.items():
            committed = self._group_stands[tp]
            position = max(committed or 0, start)
            if committed is not None and committed < start:
                log.error(
                    "records were trimmed before they were delivered",
                    shard=tp.partition,
                    from_offset=committed,
                    to_offset=start,
                )
            self.begins[tp.partition] = position
            if position == start:
                # Revoked meanwhile: it is sought again when it is assigned.
                with contextlib.suppress(IllegalStateError):
                    await self.seek(tp, start)

    async def _starts(self, partitions: Iterable[TP]) -> Mapping[TP, int]:
        try:
            return await self.earliest_offsets(*partitions)
        except LogUnavailable as error:
            # A leader may have gone a moment ago and have been asked all the same. It is known now.
            log.warning("where the log starts is asked once more", error=str(error))
            return await self.earliest_offsets(*partitions)

    async def _begin_without_start(self, tp: TP) -> None:
        """Begin where the group stands, or at the log's start, when there is a leader again."""
        committed = self._group_stands[tp]
        if committed is None:
            self.begins.pop(tp.partition, None)
        else:
            self.begins[tp.partition] = committed
        if not committed:
            # If that is trimmed, aiokafka goes to the start by itself.
            with contextlib.suppress(IllegalStateError):
                await self.seek(tp, 0)

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        for tp, offset in offsets.items():
            if self._committed_offset[tp] != offset:
                continue  # revoked meanwhile: it was not asked for
            if done:
                self._group_stands[tp] = offset
            else:
                self._committed_offset[tp] = self._group_stands.get(tp)
        return done
