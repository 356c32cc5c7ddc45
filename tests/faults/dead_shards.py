"""One of three brokers is away that alone has some of the shards: they are dead, nobody else is.

Those who chat on the others have whole answers and their rows, the gateways stay ready and name the
dead shards, who joins one of those is told so, and no process is ended. When the broker is back
they go on: what was accepted is answered once. DEAD_S is how long it is away.
"""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from deploy.operators.topics import connected
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of, topics
from tests.bench.load import Seen, load
from tests.bench.scenarios import Scenario
from tests.end_to_end.reader import Reader
from tests.end_to_end.test_whole_path import rows
from tests.scripted_model.control import ModelControl, scripted_model
from tests.scripted_model.script import is_whole
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

DEAD_S = float(os.environ.get("DEAD_S", "60"))
SHARDS = 8
ALONE = 2
"""The broker that is away, and has the dead shards alone."""
DEAD = (2, 5)
HEALTHY = [shard for shard in range(SHARDS) if shard not in DEAD]
TALK = Scenario("two sessions on each healthy shard", 2 * len(HEALTHY), 20.0)
TALK_S = 6.0
HELD_AT = 8
TOKENS = 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three brokers and the other servers, and the services beside them."""

    servers: RunningStack
    services: RunningStack

    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.services.file.gateways]

    def admins(self) -> list[str]:
        file = self.services.file
        rest = [each.admin for each in [*file.workers, *file.persisters]]
        return [*(each.admin for each in file.gateways), *rest]

    def pids(self) -> list[int]:
        file = self.services.file
        rest = [each.pid for each in [*file.workers, *file.persisters]]
        return [*(each.pid for each in file.gateways), *rest]


@asynccontextmanager
async def cluster(folder: Path, model: ModelControl) -> AsyncIterator[Cluster]:
    many = {"BROKERS": "3", "SHARDS": str(SHARDS), "RESTART": "0"}
    with running_stack(folder / "servers", servers_only=True, **many) as servers:
        await _spread(servers.file.kafka)
        with running_stack(
            folder / "services",
            OPENAI_BASE_URL=model.url,
            TALKLOG_KAFKA=servers.file.kafka,
            TALKLOG_REDIS_URL=servers.file.redis,
            TALKLOG_POSTGRES_DSN=servers.file.postgres,
            TALKLOG_EPOCH=str(servers.epoch),
            TALKLOG_IDLE_TIMEOUT_S="300",  # an answer is held until its shard has died
            SHARDS=str(SHARDS),
            GATEWAYS="2",
            WORKERS="2",
            PERSISTERS="2",
        ) as services:
            yield Cluster(servers, services)


async def _spread(kafka: str) -> None:
    """Make both topics anew, each shard on one broker: those in DEAD on the one that goes away.

    Replicas of the others on it would change nothing; a change of leaders is another fault.
    """
    others = [each for each in (1, 2, 3) if each != ALONE]
    replicas = {
        shard: [ALONE if shard in DEAD else others[shard % len(others)]] for shard in range(SHARDS)
    }
    async with connected(kafka) as admin:
        answer = await admin.delete_topics([USER_MESSAGES, SESSION_LOG])
        assert all(code == 0 for _, code in answer.topic_error_codes), answer
    for topic in topics(SHARDS, 1):
        if topic.name in (USER_MESSAGES, SESSION_LOG):
            async with connected(kafka) as admin, asyncio.timeout(WITHIN_S):
                await _made(admin, NewTopic(topic.name, -1, -1, replicas, topic.config))


async def _made(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    while True:  # a topic that is being deleted is still there for a moment
        answer = await admin.create_topics([topic])
        [(_, code, *_)] = answer.topic_errors
        if code == 0:
            return
        assert code == TopicAlreadyExistsError.errno, (answer, topic.name)
        await asyncio.sleep(0.2)


def sessions(tag: str, shards: list[int], each: int) -> list[str]:
    """Names of so many sessions of each shard."""
    found: dict[int, list[str]] = {shard: [] for shard in shards}
    number = 0
    while any(len(names) < each for names in found.values()):
        name = f"{tag}-{number}"
        names = found.get(shard_of(name, SHARDS))
        if names is not None and len(names) < each:
            names.append(name)
        number += 1
    return [name for names in found.values() for name in names]


async def talk(there: Cluster, tag: str) -> Seen:
    """One answer in each of some sessions of the healthy shards, whole, and its rows."""
    tokens = TALK.tokens_in(TALK_S)
    names = sessions(tag, HEALTHY, 2)
    seen = await load(there.urls(), TALK, tokens, tag, names)

    def pieces() -> list[int]:
        return [rows(there.servers, name).count("@") for name in names]

    await until(
        lambda: pieces() == [tokens] * len(names), WITHIN_S, lambda: f"{tokens}: {pieces()}"
    )
    return seen


def p99_ms(times_ms: list[float]) -> float:
    return sorted(times_ms)[int(len(times_ms) * 0.99)]


def said(address: str) -> str:
    """What /readyz says; it must be 200."""
    try:
        with urlopen(f"{address}/readyz", timeout=10) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        raise AssertionError(f"{address}: {error.code} {error.read().decode()}") from None


def name_the_dead(there: Cluster) -> bool:
    told = f"shards dead: {' '.join(map(str, DEAD))}"
    return all(told in said(each.admin) for each in there.services.file.gateways)


async def told_at_the_door(url: str, session_id: str) -> list[str]:
    """The codes that a joiner is told before its socket is closed."""
    address = f"{url.replace('http', 'ws', 1)}/ws/chat/{session_id}/"
    frames: list[dict[str, str]] = []
    async with connect(address, open_timeout=WITHIN_S) as socket, asyncio.timeout(WITHIN_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                frames.append(json.loads(await socket.recv()))
    return [each["code"] for each in frames if each["type"] == "error"]


async def test_shards_without_a_leader_are_dead_and_nobody_else_is(
    tmp_path: Path, tell: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")  # it tells of every broker that is dead
    with scripted_model() as model:
        async with cluster(tmp_path, model) as there:
            await talk(there, "warm-up")
            before = await talk(there, "before")
            pids = there.pids()
            [cut, waits] = sessions("dead", list(DEAD), 1)
            async with Reader(there.urls()[0], cut) as held, Reader(there.urls()[1], waits) as late:
                orders = f"tokens={TOKENS} rate=50 fault=hold_after:{HELD_AT}"
                await held.ask(f"go [[key={cut} {orders}]]", "m0")
                await held.until(lambda: held.message("m0").text)
                async with asyncio.TaskGroup() as group:
                    across = group.create_task(talk(there, "across"))
                    there.servers.kill(f"kafka-{ALONE}")
                    during = await _while_it_is_away(there, model, late)
            assert there.pids() == pids
            await _who_starts_meanwhile_serves_the_others(there)
            there.servers.start_dead()
            await _all_goes_on(there, model, cut, waits)
            for name, seen in (("across", across.result()), ("during", during)):
                times = p99_ms(seen.added_ms) / p99_ms(before.added_ms)
                tell(f"p99 {name}: {p99_ms(seen.added_ms):.0f} ms, {times:.2f} x before")


async def _while_it_is_away(there: Cluster, model: ModelControl, late: Reader) -> Seen:
    loop = asyncio.get_running_loop()
    end = loop.time() + DEAD_S
    await until(lambda: name_the_dead(there), WITHIN_S, "the gateways name the dead shards")
    model.release()  # its chunks can't be written now
    content = asked(late.session_id)
    await late.send({"type": "user_message", "message_id": "m0", "content": content})
    await late.until(lambda: late.of_type("error"))
    assert {each["code"] for each in late.of_type("error")} <= {"unavailable", "outcome_unknown"}
    for url in there.urls():
        for name in sessions("joiner", list(DEAD), 1):
            codes = await told_at_the_door(url, name)
            assert codes == ["unavailable"], codes
    seen, number = Seen(), 0
    while not number or loop.time() < end:
        found = await talk(there, f"during-{number}")
        seen.added_ms += found.added_ms
        number += 1
        assert all([await asyncio.to_thread(said, each) for each in there.admins()])
        assert await asyncio.to_thread(name_the_dead, there)
    return seen


async def _who_starts_meanwhile_serves_the_others(there: Cluster) -> None:
    """Each tier is killed once: the shards of a worker or persister go to another, and back."""
    for name in ("worker-1", "persister-1", "gateway-1"):
        pid = there.services.pid(name)
        there.services.kill(name)
        if "gateway" not in name:  # nobody can talk to it
            await talk(there, f"without-{name}")
        await until(
            lambda name=name, pid=pid: (
                there.services.pid(name) not in (0, pid)  # type: ignore[misc]
                and there.services.state_of(name) == "ready"
            ),
            WITHIN_S,
            f"{name} is back",
        )
        await talk(there, f"with-{name}")


def asked(session_id: str) -> str:
    return f"go [[key={session_id} tokens={TOKENS} rate=50]]"


async def _all_goes_on(there: Cluster, model: ModelControl, cut: str, late: str) -> None:
    """What was accepted on the dead shards is answered, and so is what is asked there now."""
    await until(lambda: not name_any(there), WITHIN_S, "no gateway names a dead shard")
    for session_id, message_id in ((cut, "m1"), (late, "m0")):
        async with Reader(there.urls()[0], session_id) as reader:
            await reader.ask(asked(session_id), message_id)

    def answered() -> bool:
        model.release()
        return ends(there, cut) == {"m0": True, "m1": True} and ends(there, late) == {"m0": True}

    await until(answered, WITHIN_S, lambda: f"{ends(there, cut)}, {ends(there, late)}")
    await talk(there, "after")
    done = await asyncio.to_thread(talklog, there.servers, "verify", "--older-than-m", "0")
    assert done.returncode == 0, done.stdout


def name_any(there: Cluster) -> bool:
    return any("dead" in said(each.admin) for each in there.services.file.gateways)


def ends(there: Cluster, session_id: str) -> dict[str, bool]:
    """The session's answers that have ended in the table, and whether their texts are whole."""
    with psycopg.connect(there.servers.file.postgres, connect_timeout=5) as connection:
        ended = connection.execute(
            "SELECT message_id FROM answers WHERE session_id = %s AND state = 'complete'",
            [session_id],
        ).fetchall()
        pieces = connection.execute(
            "SELECT message_id, string_agg(content, '' ORDER BY chunk_sequence)"
            " FROM streaming_messages WHERE session_id = %s GROUP BY message_id",
            [session_id],
        ).fetchall()
    texts: dict[str, str] = dict(pieces)
    return {name: is_whole(texts.get(name, ""), session_id, TOKENS) for (name,) in ended}
