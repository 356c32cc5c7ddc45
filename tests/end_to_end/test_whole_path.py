"""One message, then very many, through every tier."""

import asyncio
import json
import os
from urllib.request import urlopen

import psycopg
import pytest
import redis

from schemas.transcript import Outcome
from tests.end_to_end.reader import Reader
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, talklog
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SESSIONS = int(os.environ.get("SESSIONS", "100"))
EACH, TOKENS, HELD_AT = 3, 60, 50
ALL_AT_ONCE_WITHIN_S = 90.0


async def test_an_answer_reaches_two_sockets_of_different_gateways_and_the_table(
    stack: RunningStack, model: ModelControl
) -> None:
    first, second = urls(stack)
    async with Reader(first, "two-sockets") as reader, Reader(second, "two-sockets") as other:
        await reader.ask("go [[key=ts1 tokens=40 rate=200]]", "m1")
        message = await reader.ended("m1")
        await other.ended("m1")
    assert message.state == "complete"
    assert message.text == other.message("m1").text == answer_text("ts1", 1, 40)
    assert message.usage is not None
    assert model.calls("ts1")[0]["usage"] == {
        "prompt_tokens": message.usage.prompt_tokens,
        "completion_tokens": message.usage.completion_tokens,
    }
    await rows_hold(stack, "two-sockets", message.text)


async def test_a_hundred_sessions_at_once_on_both_gateways(
    stack: RunningStack, model: ModelControl
) -> None:
    """Every answer equals what the model wrote, in order, once, on two sockets and in the table.

    The first answers stop before their last tokens until all of them run.
    """
    model.reset()
    sessions = [f"many-{number}" for number in range(SESSIONS)]
    async with asyncio.TaskGroup() as group:
        chats = [group.create_task(_three_messages(stack, session)) for session in sessions]
        await until(
            lambda: model.state()["open"] == SESSIONS, ALL_AT_ONCE_WITHIN_S, "all answers run"
        )
        # The readers are behind by what is on its way; it must be seen, and be gone at the end.
        await until(lambda: _lag(stack) > 0, WITHIN_S, "lag is above 0")

        def over() -> bool:
            model.release()
            return all(chat.done() for chat in chats)

        await until(over, WITHIN_S, "every end")
    assert model.state()["by_key"] == {f"{s}-{n}": 1 for s in sessions for n in range(EACH)}
    assert min(_starts(stack)) >= SESSIONS * EACH / 4, "each worker has started at least a quarter"
    for session in sessions:
        texts = (answer_text(f"{session}-{n}", 1, TOKENS) for n in range(EACH))
        await rows_hold(stack, session, "".join(texts))
    await until(lambda: _lag(stack) == 0, WITHIN_S, "lag is 0 again")


async def _three_messages(stack: RunningStack, session: str) -> None:
    first, second = urls(stack)
    async with Reader(first, session) as reader, Reader(second, session) as other:
        for number in range(EACH):
            key = f"{session}-{number}"
            held = f"fault=hold_after:{HELD_AT}" if number == 0 else ""
            await reader.ask(f"go [[key={key} tokens={TOKENS} rate=10 {held}]]", f"m{number}")
            for each in (reader, other):
                message = await each.ended(f"m{number}", 2 * ALL_AT_ONCE_WITHIN_S)
                assert message.state == "complete", message
                assert message.text == answer_text(key, 1, TOKENS)
                assert message.starts == 1
    for each in (reader, other):
        # `queued` of a worker that has just given the shard away may come after the start.
        late = (Outcome.REPEATED, "status")
        assert {told[0] for told in each.outcomes if told != late} <= {
            Outcome.QUEUED,
            Outcome.STARTED,
            Outcome.ALIVE,
            Outcome.CHUNK,
            Outcome.ENDED,
        }


async def test_replay_prints_the_same_from_the_topic_and_from_postgres(
    stack: RunningStack, model: ModelControl
) -> None:
    async with Reader(urls(stack)[0], "replayed") as reader:
        for number in range(2):
            await reader.ask(f"go [[key=re{number} tokens=10]]", f"m{number}")
            await reader.ended(f"m{number}")
    await rows_hold(stack, "replayed", answer_text("re0", 1, 10) + answer_text("re1", 1, 10))
    topic = talklog(stack, "replay", "--session", "replayed").stdout
    postgres = talklog(stack, "replay", "--session", "replayed", "--from", "postgres").stdout
    assert topic == postgres
    assert answer_text("re0", 1, 10).strip() in topic


async def test_the_next_answer_knows_the_history_after_a_flush(
    stack: RunningStack, model: ModelControl
) -> None:
    async with Reader(urls(stack)[0], "flushed") as reader:
        await reader.ask("first [[key=fl0 tokens=10]]", "m0")
        await reader.ended("m0")
        await asyncio.to_thread(_flush, stack)
        await reader.ask("second [[key=fl1 tokens=10]]", "m1")
        await reader.ended("m1")
    prompts = [message["content"] for message in model.calls("fl1")[0]["messages"]]
    assert prompts == [
        "first [[key=fl0 tokens=10]]",
        answer_text("fl0", 1, 10),
        "second [[key=fl1 tokens=10]]",
    ]


async def rows_hold(stack: RunningStack, session: str, text: str) -> None:
    """Wait until the table's conversation, by the query people use, is exactly the text."""
    await until(lambda: rows(stack, session) == text, WITHIN_S, f"rows of {session} are the answer")


def rows(stack: RunningStack, session: str) -> str:
    """The conversation as the table holds it."""
    with psycopg.connect(stack.file.postgres, connect_timeout=5) as connection:
        found = connection.execute(
            "SELECT content FROM streaming_messages WHERE session_id = %s ORDER BY chunk_sequence",
            [session],
        ).fetchall()
    return "".join(content for (content,) in found)


def _flush(stack: RunningStack) -> None:
    with redis.Redis.from_url(stack.file.redis) as client:
        client.flushall()


def _lag(stack: RunningStack) -> int:
    report = json.loads(talklog(stack, "lag", "--format", "json", check=False).stdout)
    return sum(part["records"] for part in report["partitions"])


def urls(stack: RunningStack) -> list[str]:
    """The gateways' addresses."""
    return [gateway.url for gateway in stack.file.gateways]


def _starts(stack: RunningStack) -> list[float]:
    """Answers that each worker has started, as its metrics say."""
    return [metric(worker.admin, "talklog_worker_starts_total") for worker in stack.file.workers]


def metric(admin: str, name: str) -> float:
    """One value of a process's metrics; 0 if it is not there."""
    with urlopen(f"{admin}/metrics", timeout=WITHIN_S) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0] == name)
