"""Puts a session's fold into Postgres as the persister would, up to any offset a test chooses."""

from collections.abc import Sequence

import psycopg

from schemas.events import Event, SessionEvent
from schemas.topics import SESSION_LOG, shard_of
from schemas.transcript import Place, Transcript
from tests.integration.gateway.writer import SHARDS


async def store(
    dsn: str, epoch: int, session_id: str, events: Sequence[tuple[Event, int]], next_offset: int
) -> None:
    """Store the fold of the events (each with its offset), and how far the log is stored."""
    transcript = Transcript()
    for event, offset in events:
        assert isinstance(event, SessionEvent)
        transcript.apply(event, Place(epoch, offset))
    shard = shard_of(session_id, SHARDS)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute(
            "INSERT INTO kafka_offsets (topic, shard, epoch, next_offset) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (topic, shard)"
            " DO UPDATE SET epoch = EXCLUDED.epoch, next_offset = EXCLUDED.next_offset",
            (SESSION_LOG, shard, epoch, next_offset),
        )
        number = 1
        for message in transcript.messages.values():
            assert message.first is not None
            assert message.last is not None
            prompt = message.prompt
            await connection.execute(
                "INSERT INTO user_messages (session_id, message_id, content, created_at, shard)"
                " VALUES (%s, %s, %s, %s, %s)",
                (
                    session_id,
                    message.message_id,
                    prompt.content if prompt else "",
                    prompt.created_at if prompt else "2026-01-01T00:00:00Z",
                    shard,
                ),
            )
            first = number
            if message.text:
                await connection.execute(
                    "INSERT INTO streaming_messages"
                    " (session_id, chunk_sequence, content, message_id, attempt, sequence)"
                    " VALUES (%s, %s, %s, %s, %s, 1)",
                    (session_id, number, message.text, message.message_id, message.attempt),
                )
                number += 1
            await connection.execute(
                "INSERT INTO answers (session_id, message_id, state, attempt, fence, released,"
                " starts, unended_starts, last_sequence, first_chunk_sequence,"
                " next_chunk_sequence, damaged, finish_reason, usage, shard, first_epoch,"
                " first_offset, epoch, last_offset, seen_epoch, seen_offset)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                " %s, %s, %s)",
                (
                    session_id,
                    message.message_id,
                    message.state,
                    message.attempt,
                    list(message.fence) if message.fence else None,
                    message.released,
                    message.starts,
                    message.unended_starts,
                    message.last_sequence,
                    first,
                    number,
                    message.damaged,
                    message.finish_reason,
                    None,
                    shard,
                    message.first.epoch,
                    message.first.offset,
                    message.last.epoch,
                    message.last.offset,
                    message.last.epoch,
                    message.last.offset,
                ),
            )
