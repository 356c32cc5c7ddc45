"""Messages of any age and state, put into the tables as a persister would have left them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.integration.persister.conftest import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EPOCH = 7
ASKED, ANSWERED = 100, 1000
"""Where the two topics of shard 0 begin."""


@dataclass
class Stored:
    """One message: said and ended so many days ago, last named at these offsets."""

    session_id: str
    message_id: str = "m1"
    said_days: float = 40
    ended_days: float | None = 40
    state: str | None = "complete"
    seen: tuple[int, int] = (EPOCH, ANSWERED - 1)
    asked: tuple[int, int] | None = (EPOCH, ASKED - 1)
    shard: int = 0
    first: int = 1
    pieces: list[str] = field(default_factory=lambda: ["a", "b"])

    def put(self, database: Database) -> None:
        asked_epoch, asked_offset = self.asked or (None, None)
        database.rows(
            "INSERT INTO user_messages (session_id, message_id, content, created_at, shard, epoch,"
            " log_offset, seen_epoch, seen_offset) VALUES (%s, %s, 'why?', %s, %s, %s, %s, %s, %s)",
            *(self.session_id, self.message_id, NOW - timedelta(days=self.said_days), self.shard),
            *(asked_epoch, asked_offset, asked_epoch, asked_offset),
        )
        if self.state is None:
            return
        epoch, offset = self.seen
        ended = None if self.ended_days is None else NOW - timedelta(days=self.ended_days)
        database.rows(
            "INSERT INTO answers (session_id, message_id, state, released, starts, unended_starts,"
            " last_sequence, first_chunk_sequence, next_chunk_sequence, damaged, ended_at, shard,"
            " first_epoch, first_offset, epoch, last_offset, seen_epoch, seen_offset)"
            " VALUES (%s, %s, %s, false, 1, 0, %s, %s, %s, false, %s, %s, %s, %s, %s, %s, %s, %s)",
            *(self.session_id, self.message_id, self.state, len(self.pieces), self.first),
            *(self.first + len(self.pieces), ended, self.shard, epoch, 0, epoch, offset),
            *(epoch, offset),
        )
        for number, piece in enumerate(self.pieces):
            database.rows(
                "INSERT INTO streaming_messages (session_id, chunk_sequence, content, message_id,"
                " attempt, sequence) VALUES (%s, %s, %s, %s, 'a1', %s)",
                *(self.session_id, self.first + number, piece, self.message_id, number + 1),
            )


def many(database: Database, messages: int, pieces: int, epoch: int = EPOCH) -> None:
    """Put so many old messages, each in a session of its own, with so many pieces each."""
    said = NOW - timedelta(days=400)
    database.rows(
        "INSERT INTO user_messages (session_id, message_id, content, created_at, shard, epoch,"
        " log_offset, seen_epoch, seen_offset)"
        " SELECT 'many-' || n, 'm1', 'why?', %s::timestamptz + n * interval '1 second', 0,"
        " %s::bigint, n, %s::bigint, n FROM generate_series(1, %s) n",
        *(said, epoch, epoch, messages),
    )
    database.rows(
        "INSERT INTO answers (session_id, message_id, state, released, starts, unended_starts,"
        " last_sequence, first_chunk_sequence, next_chunk_sequence, damaged, ended_at, shard,"
        " first_epoch, first_offset, epoch, last_offset, seen_epoch, seen_offset)"
        " SELECT 'many-' || n, 'm1', 'complete', false, 1, 0, %s::int, 1, %s::int + 1, false,"
        " %s::timestamptz, 0, %s::bigint, n, %s::bigint, n, %s::bigint, n"
        " FROM generate_series(1, %s) n",
        *(pieces, pieces, said, epoch, epoch, epoch, messages),
    )
    database.rows(
        "INSERT INTO streaming_messages (session_id, chunk_sequence, content, message_id, attempt,"
        " sequence) SELECT 'many-' || n, k, 'piece', 'm1', 'a1', k"
        " FROM generate_series(1, %s) n, generate_series(1, %s) k",
        *(messages, pieces),
    )
    database.rows("ANALYZE")
