"""A conversation is erased while an answer of it runs: by the running stack, for good."""

import asyncio
import json
from collections.abc import Iterator

import psycopg
import pytest
import redis

from schemas import redis_keys
from tests.end_to_end.reader import Reader
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SECRET = "the secret of before"
TABLES = ("user_messages", "answers", "streaming_messages")


@pytest.fixture(scope="module")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A log of its own: a rebuild needs all of it, and verify must find no rule broken in it."""
    with running_stack(
        tmp_path_factory.mktemp("erased"),
        OPENAI_BASE_URL=model.url,
        GATEWAYS="2",
        WORKERS="2",
        PERSISTERS="2",
        TALKLOG_IDLE_TIMEOUT_S="200",
    ) as stack:
        yield stack


async def test_a_session_is_forgotten_while_an_answer_of_it_runs(
    stack: RunningStack, model: ModelControl
) -> None:
    session = "erased"
    first, second = (gateway.url for gateway in stack.file.gateways)
    async with Reader(first, session) as reader, Reader(second, session) as other:
        await reader.ask(f"{SECRET} [[key=er0 tokens=5]]", "m0")
        await reader.ended("m0")
        await until(lambda: in_redis(stack, session), WITHIN_S, "the history is in Redis")
        await reader.ask(f"{SECRET} [[key=er1 tokens=40 fault=hold_after:10]]", "m1")
        await reader.until(lambda: reader.message("m1").last_sequence > 0)
        await reader.ask(f"{SECRET} [[key=er2 tokens=5]]", "m2")  # it waits
        cursor = next(frame["cursor"] for frame in reader.frames if "cursor" in frame)

        said = await asyncio.to_thread(talklog, stack, "forget", session, "--yes")
        assert "3 messages and" in said.stdout
        assert f"session {session} is forgotten at {stack.epoch}." in said.stdout
        for each in (reader, other):
            await each.until(lambda each=each: each.of_type("session_forgotten"))  # type: ignore[misc]
        assert rows(stack, session) == [0, 0, 0]
        await until(lambda: not in_redis(stack, session), WITHIN_S, "Redis has forgotten it")

        model.release()  # what the model still says is of no use to anybody
        await reader.ask("go [[key=er3 tokens=5]]", "m3")
        assert (await reader.ended("m3")).text == answer_text("er3", 1, 5)
        await other.ended("m3")
        assert list(reader.transcript.messages) == list(other.transcript.messages) == ["m3"]
        # The model was told nothing of before, and m2 was never asked.
        [call] = model.calls("er3")
        assert SECRET not in json.dumps(call["messages"])
        assert model.calls("er2") == []
    await nobody_is_told_again(stack, session, cursor)
    await the_tools_find_nothing_wrong(stack, session)


async def nobody_is_told_again(stack: RunningStack, session: str, cursor: str) -> None:
    """Who comes back with an old cursor, or anew, is given nothing of before."""
    url = stack.file.gateways[0].url
    async with Reader(url, session, f"?cursor={cursor}") as resumed:
        await resumed.until(lambda: resumed.message("m3").terminal)
        assert SECRET not in json.dumps(resumed.frames)
    async with Reader(url, session, "?history=100") as joined:
        [snapshot] = joined.of_type("snapshot")
        assert {entry["message_id"] for entry in snapshot["messages"]} == {"m3"}
        assert snapshot["forgotten_before"] >= 3
        await joined.send({"type": "history", "before": "m3"})
        await joined.until(lambda: joined.of_type("history"))
        assert joined.of_type("history")[0]["messages"] == []
        assert SECRET not in json.dumps(joined.frames)


async def the_tools_find_nothing_wrong(stack: RunningStack, session: str) -> None:
    """Replay tells no word of before; verify and rebuild find the tables as the log has them."""
    await until(lambda: rows(stack, session)[1] == 1, WITHIN_S, "m3 is in the tables")
    for options in (
        [],
        ["--format", "events"],
        ["--speed", "1000"],
        ["--from", "postgres"],
    ):
        told = await asyncio.to_thread(talklog, stack, "replay", "--session", session, *options)
        assert SECRET not in told.stdout, options
        assert answer_text("er0", 1, 5) not in told.stdout
        assert "er3" in told.stdout, options
    verified = await asyncio.to_thread(talklog, stack, "verify", "--older-than-m", "0")
    assert "sessions forgotten" in verified.stdout
    assert "no rule is broken" in verified.stdout
    rebuilt = await asyncio.to_thread(talklog, stack, "rebuild")
    assert "the tables are what the log says" in rebuilt.stdout


async def test_only_what_a_user_has_said_alone_is_forgotten_with_him(stack: RunningStack) -> None:
    """The gateways of this stack know no users: the rows say who has spoken."""
    with psycopg.connect(stack.file.postgres, autocommit=True) as connection:
        for session, users in (("alone", ["ada"]), ("both", ["ada", "bob"])):
            for number, user in enumerate(users):
                connection.execute(
                    "INSERT INTO user_messages (session_id, message_id, content, user_id, "
                    "created_at, shard) VALUES (%s, %s, 'said', %s, now(), 0)",
                    (session, f"m{number}", user),
                )
    told = await asyncio.to_thread(talklog, stack, "forget", "--user", "ada", "--yes")
    assert "left: session both, in which others have spoken (1 messages)" in told.stdout
    assert "session alone is forgotten" in told.stdout
    assert (rows(stack, "alone")[0], rows(stack, "both")[0]) == (0, 2)
    await asyncio.to_thread(talklog, stack, "forget", "--user", "ada", "--shared", "--yes")
    assert rows(stack, "both")[0] == 0


async def test_a_persister_that_stands_still_is_said_and_not_waited_for_for_ever(
    stack: RunningStack,
) -> None:
    names = ("persister-1", "persister-2")
    for name in names:
        stack.hold(name)
    try:
        told = await asyncio.to_thread(
            talklog, stack, "forget", "late", "--yes", "--wait", "1", check=False
        )
    finally:
        for name in names:
            stack.let_go(name)
    assert told.returncode == 1
    assert "session late: forgotten at" in told.stderr
    assert "the rows go when the persister comes to it" in told.stderr


def rows(stack: RunningStack, session: str) -> list[int]:
    """How many rows of the session each table has."""
    with psycopg.connect(stack.file.postgres, autocommit=True) as connection:
        found = []
        for table in TABLES:
            query = f"SELECT count(*) FROM {table} WHERE session_id = %s"
            row = connection.execute(query.encode(), (session,)).fetchone()
            found.append(int(row[0]) if row else 0)
        return found


def in_redis(stack: RunningStack, session: str) -> bool:
    """Whether Redis has a history of the session that says anything of before."""
    with redis.Redis.from_url(stack.file.redis) as client:
        value = client.get(redis_keys.session(session))
        assert value is None or isinstance(value, bytes)
        return value is not None and SECRET.encode() in value
