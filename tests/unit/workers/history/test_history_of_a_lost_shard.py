"""A worker's memory beside the log: what it may store as a whole conversation, and what not."""

from collections.abc import Sequence
from typing import Any, cast

from schemas.transcript import Transcript
from workers.history.prompt import Turn
from workers.history.recent_histories import RecentHistories
from workers.history.sessions import Sessions
from workers.history.stored_conversation import StoredConversation
from workers.intake.actions import MessageKey, Store
from workers.intake.shard_fold import AtHand


class EmptyHistory:
    """Redis after it has forgotten everything."""

    def __init__(self) -> None:
        self.whole: list[Sequence[Turn]] = []

    async def merge(self, session_id: str, turns: Sequence[Turn]) -> str:
        return "missing"

    async def store_whole(self, session_id: str, turns: Sequence[Turn]) -> None:
        self.whole.append(turns)


class RowsBehind:
    """Postgres, whose writer is behind the log: nothing of the session is there yet."""

    async def read(self, session_id: str, *, shard: int, epoch: int) -> StoredConversation:
        return StoredConversation(Transcript(), next_offset=0)


def sessions_of(history: EmptyHistory, at_hand: AtHand | None) -> Sessions:
    return Sessions(
        history=cast(Any, history),
        recent=RecentHistories(1000),
        spent=cast(Any, None),
        conversations=cast(Any, RowsBehind()),
        scanner=cast(Any, None),
        at_hand=lambda shard, session_id: at_hand,
        log_start=cast(Any, None),
        epoch=1,
    )


STORE = Store(1, 0, MessageKey("s", "m2"), "question", "answer", 7, sure=True)


async def test_rows_alone_are_not_the_whole_when_the_shard_was_lost_meanwhile() -> None:
    # Its new owner would believe the key, merge the next turns into it, and never look further.
    history = EmptyHistory()
    await sessions_of(history, None).store(STORE)
    assert history.whole == []


async def test_rows_and_what_was_read_since_are_the_whole() -> None:
    history = EmptyHistory()
    at_hand = AtHand(start=0, position=8, forgotten_to=0, messages=())
    await sessions_of(history, at_hand).store(STORE)
    assert history.whole == [[]]
