"""Reads one shard of a topic again, from the log's start to its end as it is now.

It goes through the same reader as the gateways' tail, batch by batch, so that a log of any length
takes no more memory than what its reader keeps of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.operators.tooling.log_range import STALL_S
from schemas.brokers import Kafka
from schemas.log.log_reader import LogReader, LogUnavailable
from schemas.shard_log import Record


@dataclass(frozen=True, slots=True)
class Range:
    """What the shard held when it was asked: offsets from `start` up to, without, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The log let go of [from_offset, to_offset) while it was read."""

    from_offset: int
    to_offset: int


async def reread(
    kafka: Kafka,
    topic: str,
    shard: int,
    shards: int,
    *,
    on_range: Callable[[Range], None],
    on_records: Callable[[Sequence[Record]], None],
) -> list[Trimmed]:
    """Give every record of the shard, in order, to `on_records`; return what was trimmed meanwhile.

    `on_range` is told first what there is to read. Ends at the end as it was at the start.

    Raises:
        LogUnavailable: no broker answered, or nothing came for STALL_S.
    """
    reading = _Reading(on_records)
    reader = LogReader(
        kafka, topic, shards, on_records=reading.records, on_gap=reading.trimmed_range
    )
    try:
        await reader.start()
        start = (await reader.start_offsets([shard]))[shard]
        reading.end = await reader.end_offset(shard)
        on_range(Range(start, reading.end))
        if start < reading.end:
            reader.follow(shard, start)
            await _until_done(reader, reading)
    finally:
        await reader.stop()
    return reading.trimmed


class _Reading:
    """What has come so far."""

    def __init__(self, on_records: Callable[[Sequence[Record]], None]) -> None:
        self.end = 0
        self.trimmed: list[Trimmed] = []
        self.progress = asyncio.Event()
        self.done = asyncio.Event()
        self._on_records = on_records

    def records(self, _: int, records: Sequence[Record]) -> None:
        """Pass on what lies before the end."""
        wanted = [record for record in records if record.offset < self.end]
        if wanted:
            self._on_records(wanted)
        self._at(records[-1].offset + 1)

    def trimmed_range(self, _: int, from_offset: int, to_offset: int) -> None:
        """Note it."""
        self.trimmed.append(Trimmed(from_offset, to_offset))
        self._at(to_offset)

    def _at(self, position: int) -> None:
        self.progress.set()
        if position >= self.end:
            self.done.set()


async def _until_done(reader: LogReader, reading: _Reading) -> None:
    run = asyncio.create_task(reader.run())
    done = asyncio.create_task(reading.done.wait())
    try:
        while not reading.done.is_set():
            reading.progress.clear()
            moved = asyncio.create_task(reading.progress.wait())
            await asyncio.wait(
                {run, done, moved}, timeout=STALL_S, return_when=asyncio.FIRST_COMPLETED
            )
            moved.cancel()
            if run.done():
                run.result()
            if not reading.progress.is_set():
                raise LogUnavailable(f"no record for {STALL_S:.0f} s, before the end")
    finally:
        run.cancel()
        done.cancel()
        await asyncio.gather(run, done, return_exceptions=True)
