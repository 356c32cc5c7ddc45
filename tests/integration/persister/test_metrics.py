"""Every number that a persister exports moves when what it counts happens."""

import pytest

from deploy.local.ports import free_run
from schemas.topics import SESSION_LOG, shard_of
from tests.integration.moves import Moves
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.integration.persister.old_messages import many
from tests.integration.persister.test_persister import session, stop
from tests.service import Service
from tests.stack import RunningStack
from tests.trim import trim
from tests.written import Say

pytestmark = pytest.mark.stack


async def test_every_number_moves(
    database: Database, persisters: Persisters, log: Log, servers: RunningStack
) -> None:
    gone = Say(session("gone"), "m1")
    shard, key = shard_of(gone.session_id, SHARDS), gone.session_id.encode()
    await log.append([gone.said(), gone.generating("a1"), gone.chunk("a1", 1, "a")])
    first = persisters.start()
    await wait_for(lambda: database.text(gone.session_id) == "a")
    stop(first)
    # What comes next is trimmed unread: a gap, and nothing is left of an answer that had no end.
    await log.append_raw(SESSION_LOG, shard, key, b'{"type": "later"}')
    for topic in ("user_messages", SESSION_LOG):
        await trim(servers.file.kafka, topic, shard)

    admin_port = free_run(1)
    many(database, messages=5, pieces=50, epoch=servers.epoch - 1)
    process = persisters.start(admin_port=admin_port, keep_days=30, keep_look_every_s=0.2)
    moves = Moves(Service(process, admin_port, persisters.folder), "persister", "reason")
    await wait_for(lambda: "writing" in persisters.written())
    say = Say(session("moves"), "m1")
    await log.append([say.said(), *say.answer(["a", "b"])])
    await moves.until("records", "rows", "events", "save_seconds_count", "position", "postgres_up")
    await moves.until("gaps", "lost")
    await moves.until("rows_removed", "oldest_kept_timestamp_seconds")
    await log.append_raw(SESSION_LOG, shard, key, b"{not json")
    await moves.until("dead_letters")
    database.rows("ALTER TABLE answers ADD CONSTRAINT later CHECK (false) NOT VALID")
    other = Say(session("not-right"), "m1")
    await log.append([other.said(), *other.answer(["a"])])
    await moves.until("store_not_right", "rolled_back not_right")
    database.rows("ALTER TABLE answers DROP CONSTRAINT later")
    await wait_for(lambda: database.ended(other.session_id) == 1)
    assert moves.still() == set()
