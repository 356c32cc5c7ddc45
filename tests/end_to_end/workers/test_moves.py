"""Workers join and leave under running answers: each is asked for once, and each ends whole.

The answers run longer than the moves by construction: each stops before its last tokens until the
test lets it go on. So the moves may take as long as the machine needs.
"""

import asyncio
import os
import signal
from collections import defaultdict

import pytest

from schemas.topics import shard_of
from schemas.transcript import Outcome
from tests.end_to_end.workers.owners import Owners, owners
from tests.integration.workers.conversation import SHARDS, Conversation, assert_whole
from tests.integration.workers.process import Worker, Workers
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ANSWERS = int(os.environ.get("MOVED_ANSWERS", "100"))
MOVED_AT_LEAST = 30
TOKENS, HELD_AT, RATE = 90, 80, 4
SAMPLE_S = 0.3
MOVE_WITHIN_S = 60.0
PATIENT = {"TALKLOG_GRACE_S": "700", "TALKLOG_IDLE_TIMEOUT_S": "200"}
"""In so much time every answer ends: none is handed over."""


class Watch:
    """Keeps which members owned a message's shard while its answer ran."""

    def __init__(self, talk: Conversation, group: Owners) -> None:
        self._talk, self._group = talk, group
        self.owners: defaultdict[str, set[str]] = defaultdict(set)
        self.members: set[str] = set()

    async def look(self) -> None:
        """One sample; what did not run before and after the question is not counted."""
        before = self._running()
        now = await self._group.now()
        for message_id in before & self._running() if now else ():
            self.owners[message_id].add(now[shard_of(self._talk.asked[message_id], SHARDS)])
        self.members = set(now.values())

    async def until_members(self, count: int, gone: set[str]) -> set[str]:
        """Wait until the shards are divided among so many, and none of them is of those gone."""
        async with asyncio.timeout(MOVE_WITHIN_S):
            while len(self.members) != count or self.members & gone:
                await asyncio.sleep(SAMPLE_S)
                await self.look()
        return self.members

    @property
    def moved(self) -> int:
        """Messages whose shard has changed its owner in mid-answer."""
        return sum(len(each) > 1 for each in self.owners.values())

    def _running(self) -> set[str]:
        views = {each: self._talk.view(each) for each in self._talk.asked}
        return {each for each, view in views.items() if view and view.state == "generating"}


async def test_a_hundred_answers_while_workers_join_and_leave(
    servers: RunningStack, model: ModelControl, talk: Conversation, workers: Workers
) -> None:
    leaving = [await workers.start(**PATIENT), await workers.start(**PATIENT)]
    asked = [
        await talk.ask(
            f"moved-{talk.run}-{number}", f"tokens={TOKENS} rate={RATE} fault=hold_after:{HELD_AT}"
        )
        for number in range(ANSWERS)
    ]
    await talk.until(lambda: talk.outcomes[Outcome.STARTED] == ANSWERS, "every answer runs")
    async with owners(servers.file.kafka) as group:
        watch = Watch(talk, group)
        await _roll(watch, workers, leaving)
    assert model.state()["open"] == ANSWERS, "the moves took longer than the answers"
    assert watch.moved >= min(MOVED_AT_LEAST, ANSWERS // 2)

    await until(model.let_go, WITHIN_S, "every stream has ended")
    await talk.until_all_ended()
    for message in talk.messages():
        assert_whole(message, TOKENS)
        assert message.starts == 1
    assert talk.outcomes[Outcome.ENDED] == ANSWERS
    assert talk.outcomes[Outcome.RELEASED] == 0
    assert model.state()["by_key"] == dict.fromkeys(asked, 1)
    assert [await worker.exit_code() for worker in leaving] == [0, 0]
    await _remembered(model, talk, asked[:10])
    await talk.until_committed()


async def _roll(watch: Watch, workers: Workers, leaving: list[Worker]) -> None:
    """Everyone who runs an answer leaves, and so does one who only waited for others' answers."""
    first = await watch.until_members(2, set())
    await workers.start(**PATIENT)
    third = await watch.until_members(3, set()) - first
    assert third
    leaving[0].send(signal.SIGTERM)
    two = await watch.until_members(2, set())
    gone = first - two
    waiting = await workers.start(**PATIENT)
    await watch.until_members(3, gone)
    leaving[1].send(signal.SIGTERM)
    await watch.until_members(2, first)
    waiting.send(signal.SIGTERM)
    await watch.until_members(1, first)
    assert await waiting.exit_code() == 0


async def _remembered(model: ModelControl, talk: Conversation, asked: list[str]) -> None:
    """After the hand-over the next prompt holds exactly what the log holds."""
    for first in asked:
        before = talk.view(first)
        assert before is not None
        second = await talk.ask(talk.asked[first], "tokens=3")
        await talk.ended(second)
        [call] = model.calls(second)
        assert [turn["content"].split()[0] for turn in call["messages"][::2]] == [
            f"[[key={first}",
            f"[[key={second}",
        ]
        assert [turn["role"] for turn in call["messages"]] == ["user", "assistant", "user"]
        assert call["messages"][1]["content"] == before.text
