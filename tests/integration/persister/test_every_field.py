"""A field of a message is carried through Postgres, by everybody who writes or reads it there."""

import pytest

from deploy.operators.replay.command import from_postgres
from gateway.snapshot.stored import Store as GatewayStore
from gateway.snapshot.stored import Wanted
from persister.answer_row import Answer, answer_of
from persister.batch import Partition
from persister.changes import Changes, PromptRow, Reasoning
from persister.rows import RowFold
from persister.store import Move, Store
from persister.timeouts import TIMEOUTS
from schemas.events import Chunk
from schemas.topics import SESSION_LOG
from schemas.transcript import Message, Place
from tests.filled import CREATED_AT, FIELDS, MESSAGE_ID, SESSION, TEXTS, empty, filled, lost
from tests.integration.persister.conftest import Database
from workers.history.stored_conversation import StoredConversations

pytestmark = pytest.mark.stack

EPOCH = 7
PARTITION = Partition(SESSION_LOG, 0)
APART = ("prompt", *TEXTS)
"""Written by themselves: into other tables, and behind what the row has."""
FOR_PROMPTS = tuple(name for name in FIELDS if name != "reasoning_contents")
"""What no prompt may hold is not even read by who makes prompts."""


async def write(dsn: str) -> Message:
    """Store the message empty, then filled: an update must carry what an insert does.

    Gives what the persister reads back of its own row.
    """
    store = Store(dsn, TIMEOUTS)
    try:
        await store.begin(PARTITION, EPOCH, 0)
        await store.save(changes(empty(), None), [Move(PARTITION, EPOCH, 0, 4)])
        await store.save(changes(filled(), "because"), [Move(PARTITION, EPOCH, 4, 10)])
        [row], _, _ = await store.lookup([(SESSION, MESSAGE_ID)], [])
        return answer_of(row).message
    finally:
        await store.close()


def changes(message: Message, text: str | None) -> Changes:
    made = RowFold(EPOCH, 1).fold([])
    first = None if text is None else 1
    made.answers.append(
        Answer(SESSION, message, 0, 2 if text else 1, first, ended_at=CREATED_AT if text else None)
    )
    if text is not None and message.prompt is not None:
        chunk = Chunk(
            session_id=SESSION,
            message_id=MESSAGE_ID,
            created_at=CREATED_AT,
            attempt=message.attempt or "",
            sequence=message.last_sequence,
            content=text,
        )
        made.chunks.append((chunk, 1, False))
        made.reasonings.append(Reasoning(SESSION, MESSAGE_ID, False, message.reasoning))
        prompt = message.prompt
        made.prompts.append(
            PromptRow(SESSION, MESSAGE_ID, prompt.content, None, prompt.created_at, 0, 7, 1, 7, 1)
        )
    return made


async def read_by_the_gateway(dsn: str) -> Message:
    store = GatewayStore(dsn, EPOCH)
    await store.open()
    try:
        [message] = (await store.read(Wanted(SESSION, 0, Place(0, 0), 1, 0))).messages
        return message
    finally:
        await store.close()


async def read_by_the_worker(dsn: str) -> Message | None:
    conversations = StoredConversations(dsn, budget_tokens=1000)
    await conversations.open()
    try:
        stored = await conversations.read(SESSION, shard=0, epoch=EPOCH)
        return None if stored is None else stored.transcript.messages.get(MESSAGE_ID)
    finally:
        await conversations.close()


async def test_every_field_of_a_message_is_carried_everywhere(database: Database) -> None:
    own = tuple(name for name in FIELDS if name not in APART)
    forgotten = [f"{name} by the row of answers" for name in lost(await write(database.dsn), own)]
    [shown] = from_postgres(database.dsn, SESSION)
    for who, message, names in (
        ("the view conversation", shown, FIELDS),
        ("the gateway's queries.sql", await read_by_the_gateway(database.dsn), FIELDS),
        ("the workers' queries.sql", await read_by_the_worker(database.dsn), FOR_PROMPTS),
    ):
        forgotten += [f"{name} by {who}" for name in lost(message, names)]
    assert forgotten == []
