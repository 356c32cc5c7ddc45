"""Rows of a real Postgres: which of a session are read, and thousands that leave before that."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.snapshot import stored
from gateway.snapshot.snapshots import Snapshots
from gateway.snapshot.stored import POOL_MAX, Page, Store, Stored, Wanted
from schemas.events import SessionEvent
from schemas.shard_log import ShardLog
from schemas.topics import shard_of
from schemas.transcript import Message, Place, fold
from tests.integration.gateway.rows import store as store_rows
from tests.integration.gateway.writer import SHARDS, chunks, complete, start
from tests.stack import RunningStack

LEAVE = 3000
FITS_BYTES = 400
"""Some of the drawn texts fit beside each other, and some do not fit alone."""


def drawn(chance: random.Random, session_id: str) -> list[tuple[SessionEvent, int]]:
    """Draw a session's log, with offsets: messages one after another, ended or not."""
    log: list[tuple[SessionEvent, int]] = []
    offset = 0
    for number in range(chance.choice([0, 1, 3, 12])):
        name, texts = f"m{number}", ["ä" * chance.randrange(120)] * chance.randrange(4)
        events = [start(session_id, name), *chunks(session_id, name, texts)]
        if chance.random() < 0.8:
            events.append(complete(session_id, name, len(texts)))
        for event in events:
            assert isinstance(event, SessionEvent)
            offset += chance.randrange(1, 5)
            log.append((event, offset))
    return log


def first(message: Message) -> Place:
    assert message.first is not None
    return message.first


def last(message: Message) -> Place:
    assert message.last is not None
    return message.last


def size(message: Message) -> int:
    assert message.prompt is not None
    return len(message.prompt.content.encode()) + len(message.text.encode())


def newest(finished: Sequence[Message], most: int) -> list[str]:
    """Give those of the newest that fit, one at least, as the rules say it."""
    taken: list[str] = []
    room = FITS_BYTES
    for message in list(reversed(finished))[:most]:
        room -= size(message)
        if taken and room < 0:
            break
        taken.append(message.message_id)
    return taken


def seen(read: Stored | Page) -> list[tuple[str, str, str]]:
    return [(each.message_id, each.state, each.text) for each in read.messages]


def of(messages: Sequence[Message], ids: Sequence[str]) -> list[tuple[str, str, str]]:
    return [(m.message_id, m.state, m.text) for m in messages if m.message_id in ids]


async def test_a_join_and_a_page_read_what_the_rules_say(
    servers: RunningStack, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stored._NO_JOIN, "bytes", FITS_BYTES)
    seed = random.SystemRandom().randrange(1_000_000)
    chance, epoch = random.Random(seed), servers.epoch
    pooled = Store(servers.file.postgres, epoch, pooled=True)
    stores = [Store(servers.file.postgres, epoch), pooled]
    for each in stores:
        await each.open()
    try:
        for number in range(20):
            session = f"{session_id}-{number}"
            shard, log = shard_of(session, SHARDS), drawn(chance, session)
            await store_rows(servers.file.postgres, epoch, session, log, next_offset=0)
            folded = fold((event, Place(epoch, offset)) for event, offset in log)
            every = list(folded.messages.values())
            finished = [message for message in every if message.terminal]
            for _ in range(5):
                asked, store = f"SEED={seed} {session}", chance.choice(stores)
                joined, log_start = Place(epoch, chance.randrange(100)), chance.randrange(60)
                history = chance.choice([0, 1, 2, 20])
                join = await store.read(Wanted(session, shard, joined, history, log_start))
                in_log = [m for m in finished if last(m) >= Place(epoch, log_start)]
                shown = newest(finished, history)
                ids = {m.message_id for m in in_log if last(m) >= joined} | {*shown}
                ids |= {message.message_id for message in every if not message.terminal}
                assert seen(join) == of(every, [*ids]), asked
                assert [*join.ended] == [message.message_id for message in in_log], asked
                assert join.more == (len(finished) > len(shown)), asked
                assert (join.next_offset, join.forgotten) == (0, None), asked
                assert join.named_in_epoch == dict.fromkeys(ids, epoch), asked

                before = chance.choice([None, "nobody", *folded.messages])
                page = await store.earlier(session, shard, before, max(1, history))
                known = folded.messages.get(before or "")
                older = [m for m in finished if known is None or first(m) < first(known)]
                shown = newest(older, max(1, history))
                assert seen(page) == of(every, shown), f"{asked} before {before}"
                assert (page.more, page.next_offset) == (len(older) > len(shown), 0), asked
    finally:
        for each in stores:
            await each.close()


async def test_after_thousands_of_joins_that_left_the_pool_is_whole(servers: RunningStack) -> None:
    store = Store(servers.file.postgres, servers.epoch)
    tail = SimpleNamespace(log_starts={0: 0}, shard_logs=[ShardLog(0)])
    snapshots = Snapshots(store, cast(Any, tail), servers.epoch, Counters())
    chance = random.Random(1)
    await store.open()
    try:
        for _ in range(LEAVE // 50):
            joins = [
                asyncio.create_task(snapshots.fold("nobody", 0, Place(servers.epoch, 0), 0))
                for _ in range(50)
            ]
            await asyncio.sleep(chance.random() * 0.01)
            for join in joins:
                join.cancel()
            await asyncio.wait(joins)
        async with asyncio.timeout(60):
            while snapshots._reads:
                await asyncio.wait(snapshots._reads)
        # Every connection of the pool can be had at once.
        async with asyncio.TaskGroup() as tasks:
            for _ in range(POOL_MAX):
                tasks.create_task(snapshots.fold("nobody", 0, Place(servers.epoch, 0), 0))
        stats = store._pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"] <= POOL_MAX
    finally:
        await store.close()
