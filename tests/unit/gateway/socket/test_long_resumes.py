"""A resume is decided by bytes before anything is read or decoded, and decoded in slices.

Seen: eight sockets that came back to a session with 60 MiB of its own held a gateway for 6.6 s,
only to be told `recovered: false`.
"""

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.feed import delivery
from gateway.feed.resume import RECORDS_MAX_BYTES, may_fit
from gateway.limits.rules import Who
from gateway.socket.address import Address
from gateway.socket.connection import Connection
from gateway.socket.frame_bucket import PER_SECOND, FrameBuckets
from gateway.socket.resuming import SCAN_BYTES, resume
from gateway.socket.shared import Shared
from schemas.events import Chunk, encode
from schemas.shard_log import Record, ShardLog
from tests.unit.gateway.limits.alone import limiter


class Socket:
    open = writable = True
    on_writable = None

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def push(self, frame: bytes) -> None:
        self.sent.append(frame)


def record(offset: int, content: str) -> Record:
    event = Chunk(
        session_id="s",
        message_id="m",
        created_at="",
        attempt="a",
        sequence=offset + 1,
        content=content,
    )
    return Record(offset, 0, "s", encode(event))


def connection_to(log: ShardLog) -> tuple[Connection, Socket, Counters]:
    async def end(shard: int) -> int:
        return log.end

    tail = SimpleNamespace(shard_logs={0: log}, ends=SimpleNamespace(end=end))
    counters, socket = Counters(), Socket()
    shared = Shared(
        epoch=1,
        shards=1,
        tail=cast(Any, tail),
        followers=cast(Any, None),
        submitter=cast(Any, None),
        snapshots=cast(Any, SimpleNamespace(request=lambda joiner: None)),
        counters=counters,
        models=(),
        idle_limit_s=0.0,
        frame_buckets=FrameBuckets(PER_SECOND),
        limiter=limiter(),
        spawn=lambda work: work.close(),
    )
    return Connection(cast(Any, socket), Address("s", None, 0), 0, shared), socket, counters


async def test_what_can_not_fit_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    readable = delivery.readable

    def counted(record: Record, session_id: str) -> Any:
        nonlocal decoded
        decoded += 1
        return readable(record, session_id)

    monkeypatch.setattr(delivery, "readable", counted)
    log = ShardLog(0)
    log.append([record(offset, "x" * 16_000) for offset in range(1_000)])
    connection, socket, counters = connection_to(log)
    await connection._join("1.0.0")
    assert b'"recovered":false' in socket.sent[0]
    assert (decoded, counters.not_recovered) == (0, 1)


async def test_what_fits_is_decoded_while_others_have_their_turns() -> None:
    log = ShardLog(0)
    log.append([record(offset, "word ") for offset in range(20_000)])
    connection, socket, counters = connection_to(log)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not counters.resumed:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other())
        tasks.create_task(connection._join("1.0.0"))
    assert b'"recovered":true' in socket.sent[0]
    assert turns > 4
    assert connection.position == 20_000


async def test_a_range_whose_end_has_left_the_tail_meanwhile_is_not_promised() -> None:
    log = ShardLog(0)
    log.append([record(offset, "word ") for offset in range(20_000)])
    connection, socket, counters = connection_to(log)
    joining = asyncio.create_task(connection._join("1.0.0"))
    while not socket.sent and not joining.done():
        await asyncio.sleep(0)
        if log.end == 20_000:
            log.seek(30_000)
    await joining
    assert b'"recovered":false' in socket.sent[0]
    assert counters.resumed == 0


async def test_who_has_had_much_of_the_log_scanned_is_given_a_snapshot_instead() -> None:
    # Seen under attack: scans took a fifth of a gateway, each for what five snapshots cost.
    whole, newest = ShardLog(0), ShardLog(900)
    whole.append([record(offset, "word ") for offset in range(1_000)])
    newest.append(whole.read("s", 900))
    scans = 0

    class Scanner:
        def will_read(self, shard: int, start: int, end: int) -> float:
            return (end - start) * SCAN_BYTES / 100

        async def scan(self, shard: int, start: int, end: int) -> ShardLog:
            nonlocal scans
            scans += 1
            return whole

    connection, _, counters = connection_to(newest)
    shared = connection._shared
    shared.tail.scanner = cast(Any, Scanner())
    shared = dataclasses.replace(shared, limiter=limiter(address_reads_per_minute=20))

    async def comes(offset: int, address: str) -> bool:
        who = Who("s", address=address)
        return await resume(shared, who, 0, f"1.0.{offset}", 1_000) is not None

    assert [await comes(0, "192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [await comes(900, "192.0.2.1") for _ in range(30)] == [True] * 30, "it is in memory"
    assert await comes(0, "192.0.2.2"), "somebody else"
    assert await comes(898, "192.0.2.3")
    assert [await comes(800, "192.0.2.3") for _ in range(4)] == [True, True, True, False]
    assert (scans, counters.not_recovered) == (7, 2)


def test_the_bytes_decide() -> None:
    def of(size_bytes: int) -> Record:
        return Record(0, 0, "s", b"x" * size_bytes)

    assert may_fit([of(RECORDS_MAX_BYTES)])
    assert not may_fit([of(RECORDS_MAX_BYTES), of(1)])
