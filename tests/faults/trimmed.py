"""The log is trimmed under a reader: who comes back with a cursor that is gone is told so."""

import asyncio
import contextlib

from schemas.cursor import parse
from schemas.topics import SESSION_LOG, shard_of
from tests.end_to_end.reader import Reader
from tests.faults.field import Fault, Field, NoBite
from tests.faults.kinds import kill_and_wait
from tests.scripted_model.script import answer_text
from tests.trim import trim

PASSED_WITHIN_S = 90.0
TOKENS = 20


async def trimmed(field: Field) -> str:
    """One reads and goes away; its shard is trimmed past its cursor; it comes back with that."""
    session = f"trimmed-{field.shape.seed}-{field.chance.randrange(1 << 30)}"
    shard = shard_of(session, field.shape.shards)
    async with Reader(field.gateways()[0], session) as reader:
        await reader.ask(f"go [[key={session} tokens={TOKENS} rate=50]]", "m0")
        await reader.ended("m0")
        cursor = next(f["cursor"] for f in reader.frames if f["type"] == "ai_response_chunk")
    place = parse(cursor).offset
    until = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PASSED_WITHIN_S):
            # Nobody tells when an offset is not needed any more.
            while (until := await _needed_from(field, shard)) <= place + 1:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    if until <= place + 1:
        raise NoBite(f"shard {shard} is needed from {until} on, the cursor is {cursor}")
    await trim(field.stack.file.kafka, SESSION_LOG, shard, until)
    # A gateway that has run keeps two minutes in memory, and would resume from there.
    name = field.chance.choice(field.names("gateway"))
    address = field.gateways()[field.names("gateway").index(name)]
    await kill_and_wait(field, name)
    async with Reader(address, session, f"?cursor={cursor}&history=5") as reader:
        told = [f.get("recovered") for f in reader.frames if f.get("state") == "connected"]
        await reader.until(
            lambda: reader.of_type("snapshot")
        )  # also if it could not be had at once
        [snapshot] = reader.of_type("snapshot")
    if told != [False]:
        raise NoBite(f"the log starts at {until}, and {cursor} was recovered: {told}")
    texts = [e["content"] for e in snapshot["messages"] if e["role"] == "assistant"]
    assert texts == [answer_text(session, 1, TOKENS)], texts
    return f"shard {shard} trimmed to {until}, past {cursor}: not recovered, whole in the snapshot"


async def _needed_from(field: Field, shard: int) -> int:
    """The first offset that an open message or the tables still need."""
    [(stored,)] = await field.sql(
        f"SELECT next_offset FROM kafka_offsets WHERE topic = '{SESSION_LOG}' AND shard = {shard}"
    )
    opened = [
        message.first.offset
        for session, fold in field.watch.folds.items()
        if shard_of(session, field.shape.shards) == shard
        for message in fold.open_messages()
        if message.first
    ]
    return min([int(str(stored)), *opened])


TRIMMED = (Fault("log trimmed under a reader", trimmed),)
