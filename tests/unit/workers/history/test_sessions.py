"""What a worker remembers, with Redis and Postgres coming and going."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, cast

import pytest

from schemas.events import Prompt
from schemas.log.log_scan import LogScanner
from schemas.shard_log import Record, ShardLog
from schemas.transcript import Forgotten, Message, Place, Transcript
from workers.history.prompt import Turn
from workers.history.recent_histories import RecentHistories
from workers.history.redis_history import History, HistoryUnavailable
from workers.history.sessions import Sessions
from workers.history.spent import Spent
from workers.history.stored_conversation import (
    StoredConversation,
    StoredConversations,
    StoredState,
)
from workers.history.turns import merged, turns_of
from workers.intake.actions import LookUp, MessageKey, Store
from workers.intake.shard_fold import AtHand

EPOCH = 3
PROMPT = Prompt(content="?", created_at="2026-01-01T00:00:00.000Z")


def ended(message_id: str, offset: int) -> Message:
    place = Place(EPOCH, offset)
    return Message(
        message_id,
        prompt=PROMPT,
        state="complete",
        last_sequence=1,
        first=place,
        last=place,
        contents=[f"answer {message_id}"],
    )


class FakeRedis:
    """`History` in memory, that may be away."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Turn]] = {}
        self.away = False
        self.calls = 0

    def _called(self) -> None:
        self.calls += 1
        if self.away:
            raise HistoryUnavailable("scripted")

    async def load(self, session_id: str) -> list[Turn] | None:
        self._called()
        return self.kept.get(session_id)

    async def merge(self, session_id: str, turns: Sequence[Turn]) -> Literal["stored", "missing"]:
        self._called()
        if session_id not in self.kept:
            return "missing"
        self.kept[session_id] = merged(self.kept[session_id], turns, 1000)
        return "stored"

    async def store_whole(self, session_id: str, turns: Sequence[Turn]) -> None:
        self._called()
        self.kept[session_id] = merged(self.kept.get(session_id, []), turns, 1000)

    async def forget(self, session_id: str) -> None:
        self._called()
        self.kept.pop(session_id, None)

    async def forget_session(self, session_id: str, epoch: int, offset: int) -> int:
        self._called()
        return self.kept.pop(session_id, None) is not None

    def messages(self, session_id: str = "s") -> list[str] | None:
        turns = self.kept.get(session_id)
        return None if turns is None else [turn.message_id for turn in turns if turn.role == "user"]


class FakePostgres:
    """`StoredConversations` in memory, that may be away."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.next_offset: int | None = 0
        self.away = False
        self.asked = 0

    async def read(self, session_id: str, *, shard: int, epoch: int) -> StoredConversation | None:
        self.asked += 1
        if self.away:
            return None
        transcript = Transcript(messages={each.message_id: each for each in self.messages})
        return StoredConversation(transcript, self.next_offset)

    async def look_up(
        self, session_id: str, message_id: str, *, shard: int, epoch: int
    ) -> StoredState | None:
        self.asked += 1
        if self.away:
            return None
        known = any(each.message_id == message_id for each in self.messages)
        return StoredState(known, self.next_offset, [each.message_id for each in self.messages])


class FakeScanner:
    """The log in memory."""

    def __init__(self) -> None:
        self.scans: list[tuple[int, int, int]] = []

    async def scan(self, shard: int, start: int, end: int) -> ShardLog:
        self.scans.append((shard, start, end))
        log = ShardLog(start)
        log.append([Record(offset, 0, "s", b"{}") for offset in range(start, end)])
        return log


class Around:
    """A memory and all that is around it."""

    def __init__(self) -> None:
        self.redis, self.postgres, self.scanner = FakeRedis(), FakePostgres(), FakeScanner()
        self.at_hand = AtHand(0, 0, 0, [])

        async def log_start(shard: int) -> int:
            return 0

        self.sessions = Sessions(
            history=cast(History, self.redis),
            recent=RecentHistories(1000),
            spent=cast(Spent, None),
            conversations=cast(StoredConversations, self.postgres),
            scanner=cast(LogScanner, self.scanner),
            at_hand=lambda shard, session_id: self.at_hand,
            log_start=log_start,
            epoch=EPOCH,
            again_first_s=0.001,
            store_wait_s=0.01,
        )

    def read_back(self, *messages: Message) -> None:
        self.at_hand = AtHand(0, 100, 0, messages)

    async def known(self) -> tuple[list[str], bool]:
        found = await self.sessions.turns(2, "s")
        return [turn.message_id for turn in found.turns if turn.role == "user"], found.full


@pytest.fixture
def around() -> Around:
    return Around()


def store(message_id: str, offset: int, *, sure: bool = True) -> Store:
    key = MessageKey("s", message_id)
    return Store(1, 2, key, "?", f"answer {message_id}", offset, sure)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a fake tells nobody
            await asyncio.sleep(0)


async def test_what_redis_holds_is_believed(around: Around) -> None:
    await around.redis.store_whole("s", [Turn("user", "?", "m1", 5, EPOCH)])
    assert await around.known() == (["m1"], True)
    assert around.postgres.asked == 0


async def test_a_missing_history_is_rebuilt_and_stored(around: Around) -> None:
    around.postgres.messages, around.postgres.next_offset = [ended("m1", 5)], 6
    around.read_back(ended("m1", 5), ended("m2", 9))
    assert await around.known() == (["m1", "m2"], True)
    assert around.redis.messages() == ["m1", "m2"]
    assert not around.scanner.scans


async def test_a_new_session_begins_with_an_empty_history_to_merge_into(around: Around) -> None:
    assert await around.known() == ([], True)
    around.read_back(ended("m1", 5))
    await around.sessions.store(store("m1", 5))
    assert around.redis.messages() == ["m1"]


async def test_what_the_fold_at_hand_lacks_is_scanned(around: Around) -> None:
    around.postgres.messages, around.postgres.next_offset = [ended("m1", 5)], 6
    around.at_hand = AtHand(50, 60, 50, [])
    assert await around.known() == (["m1"], True)
    assert around.scanner.scans == [(2, 6, 60)]


async def test_with_postgres_away_the_fold_at_hand_must_do_and_is_not_stored(
    around: Around,
) -> None:
    around.postgres.away = True
    around.read_back(ended("m1", 5))
    assert await around.known() == (["m1"], False)
    assert around.redis.messages() is None
    assert await around.known() == (["m1"], False)
    assert around.postgres.asked == 1, "who failed a moment ago is not waited for again"


async def test_it_is_told_whether_redis_remembers_the_turns(around: Around) -> None:
    around.postgres.away = True
    assert not await around.sessions.store(store("m1", 5)), "no key, and nothing to make it from"
    await around.redis.store_whole("s", [])
    assert await around.sessions.store(store("m2", 9))
    assert not await around.sessions.store(store("m3", 12, sure=False))


async def test_turns_are_stored_when_redis_is_back_and_until_then_rebuilt(around: Around) -> None:
    old = [Turn("user", "?", "m0", 1, EPOCH), Turn("assistant", "!", "m0", 1, EPOCH)]
    await around.redis.store_whole("s", old)
    around.postgres.messages, around.postgres.next_offset = [ended("m0", 1), ended("m1", 5)], 6
    around.redis.away = True
    storing = asyncio.create_task(around.sessions.store(store("m1", 5)))
    await until(lambda: around.redis.calls >= 2)
    assert not storing.done()
    # The old copy would be believed if it were read: Redis comes back between the two.
    assert (await around.known())[0] == ["m0", "m1"]
    around.redis.away = False
    await storing
    assert around.redis.messages() == ["m0", "m1"]


async def test_a_text_that_may_not_be_the_first_is_not_stored(around: Around) -> None:
    around.postgres.away = True
    await around.redis.store_whole("s", [Turn("user", "?", "m0", 1, EPOCH)])
    assert not await around.sessions.store(store("m1", 5, sure=False))
    assert around.redis.messages() is None


async def test_where_the_fold_begins_after_the_rows_a_new_session_is_remembered_all_the_same(
    around: Around,
) -> None:
    """The persister has been away for long, and a worker has begun since."""
    around.at_hand = AtHand(50, 60, 50, [])
    look_up = LookUp(1, 2, MessageKey("s", "m1"))
    assert await around.sessions.over(look_up) == (False, False)
    around.read_back(ended("m1", 70))
    assert await around.sessions.store(store("m1", 70, sure=False))
    assert around.redis.messages() == ["m1"]
    around.at_hand = AtHand(50, 100, 50, [])
    assert await around.sessions.over(LookUp(2, 2, MessageKey("s", "m2"))) == (False, True)


async def test_of_a_message_with_two_lives_the_first_text_is_remembered(around: Around) -> None:
    first = ended("m1", 5)
    around.postgres.messages, around.postgres.next_offset = [first], 6
    around.at_hand = AtHand(50, 100, 50, [replace(ended("m1", 70), contents=["another answer"])])
    await around.redis.store_whole("s", turns_of(first, epoch=EPOCH))
    assert await around.sessions.store(store("m1", 70, sure=False))
    assert [turn.content for turn in around.redis.kept["s"]] == ["?", "answer m1"]


async def test_turns_given_up_make_the_history_of_the_session_unreadable(around: Around) -> None:
    await around.redis.store_whole("s", [Turn("user", "?", "m0", 1, EPOCH)])
    around.postgres.messages, around.postgres.next_offset = [ended("m0", 1), ended("m1", 5)], 6
    around.redis.away = True
    storing = asyncio.create_task(around.sessions.store(store("m1", 5)))
    await until(lambda: around.redis.calls >= 2)
    around.sessions.forgo(MessageKey("s", "m1"))
    await storing
    around.redis.away = False
    assert await around.known() == (["m0", "m1"], True)


async def test_two_stores_of_one_message_are_one(around: Around) -> None:
    await around.redis.store_whole("s", [])
    around.redis.away = True
    storing = [asyncio.create_task(around.sessions.store(store("m1", 5))) for _ in range(3)]
    await until(lambda: around.redis.calls >= 3)
    around.redis.away = False
    calls = around.redis.calls
    await asyncio.gather(*storing)
    assert around.redis.calls == calls + 1


async def test_whether_an_unknown_message_is_over(around: Around) -> None:
    asked = LookUp(1, 2, MessageKey("s", "m1"))
    # Nobody remembers it, and Postgres covers all that lies before the fold at hand.
    assert await around.sessions.over(asked) == (False, True)
    assert around.redis.calls == 0
    # The persister is behind the fold's start, and there is no history: nothing is sure.
    around.at_hand = AtHand(50, 60, 50, [])
    around.postgres.next_offset = 40
    assert await around.sessions.over(asked) == (False, False)
    # Where the fold has forgotten what the persister has not heard of, Redis is asked too.
    around.at_hand = AtHand(0, 60, 50, [])
    assert await around.sessions.over(asked) == (False, True)
    assert around.redis.calls == 2
    around.postgres.messages = [ended("m1", 5)]
    assert (await around.sessions.over(asked))[0]
    around.postgres.messages = []
    await around.redis.store_whole("s", [Turn("user", "?", "m1", 5, EPOCH)])
    assert await around.sessions.over(asked) == (True, True)
    around.postgres.away = True
    assert await around.sessions.over(asked) == (True, True)
    around.redis.away = True
    assert await around.sessions.over(asked) == (False, False)


async def test_a_session_that_is_talked_in_is_asked_for_once(around: Around) -> None:
    around.postgres.messages = [ended("m1", 5)]
    around.postgres.next_offset = 6
    around.at_hand = AtHand(0, 6, 0, [])
    assert await around.sessions.over(LookUp(1, 2, MessageKey("s", "m2"))) == (False, True)
    around.at_hand = AtHand(0, 8, 6, [ended("m2", 7)])
    assert await around.sessions.over(LookUp(2, 2, MessageKey("s", "m3"))) == (False, True)
    assert around.postgres.asked == 1
    # Said again long after: the fold has forgotten it, and the rows are asked.
    around.at_hand = AtHand(0, 10, 8, [])
    assert await around.sessions.over(LookUp(3, 2, MessageKey("s", "m1"))) == (True, True)
    assert around.postgres.asked == 2
    # Nothing that is forgotten is kept.
    around.sessions.forgetting("s", 11)
    await around.sessions.over(LookUp(4, 2, MessageKey("s", "m4")))
    assert around.postgres.asked == 3


async def test_the_owner_of_a_session_remembers_its_history(around: Around) -> None:
    await around.redis.store_whole("s", [Turn("user", "?", "m0", 1, EPOCH)])
    around.at_hand = AtHand(0, 2, 0, [])
    assert await around.known() == (["m0"], True)
    assert await around.sessions.store(store("m1", 5))
    around.at_hand = AtHand(0, 6, 0, [ended("m1", 5)])
    around.redis.away = True
    assert await around.known() == (["m0", "m1"], True)
    # An end that it has not stored itself: another has owned the session meanwhile.
    around.redis.away = False
    await around.redis.store_whole("s", [Turn("user", "?", "m2", 8, EPOCH)])
    around.at_hand = AtHand(0, 9, 0, [ended("m1", 5), ended("m2", 8)])
    assert await around.known() == (["m0", "m1", "m2"], True)
    # Turns that were given up: what is remembered lacks them.
    around.sessions.forgo(MessageKey("s", "m3"))
    calls = around.redis.calls
    around.postgres.messages, around.postgres.next_offset = [ended("m3", 11)], 12
    assert await around.known() == (["m3"], True)
    assert around.redis.calls == calls


async def test_a_session_forgotten_while_its_history_is_loaded_is_not_remembered(
    around: Around,
) -> None:
    await around.redis.store_whole("s", [Turn("user", "?", "m0", 1, EPOCH)])
    around.at_hand = AtHand(0, 2, 0, [])
    load = around.redis.load

    async def load_and_forget(session_id: str) -> list[Turn] | None:
        turns = await load(session_id)
        around.at_hand = AtHand(0, 6, 0, [], Forgotten(Place(EPOCH, 5), Place(EPOCH, 1)))
        around.sessions.forgetting(session_id, 5)
        await around.sessions.forget(session_id)
        return turns

    around.redis.load = load_and_forget  # type: ignore[method-assign]
    await around.known()
    around.redis.load = load  # type: ignore[method-assign]
    around.postgres.next_offset = 6
    assert await around.known() == ([], True)


async def test_a_forgotten_session_is_not_believed_until_redis_has_forgotten_it(
    around: Around,
) -> None:
    await around.redis.store_whole("s", [Turn("user", "?", "m0", 1, EPOCH)])
    around.postgres.messages, around.postgres.next_offset = [ended("m0", 1)], 5
    forgotten = Forgotten(Place(EPOCH, 7), Place(EPOCH, 3))
    around.at_hand = AtHand(0, 9, 0, [ended("m1", 8)], forgotten)
    around.redis.away = True
    around.sessions.forgetting("s", 7)
    await around.sessions.forget("s")
    # Postgres has not heard of it yet: what it still has counts for nothing.
    assert await around.known() == (["m1"], True)
    around.redis.away = False
    await around.sessions.forget("s")
    assert around.redis.messages() is None
