"""talklog behind nginx and HAProxy: one gateway reads a shard, and nobody loses a word.

Run by `make test-proxies`: `make test` does without the two programs, so it has another name.
"""

import asyncio
import contextlib
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from gateway.identity.signature import secret_key, signed
from schemas.close_codes import CloseCode
from schemas.log.log_reader import LogReader
from schemas.topics import SESSION_LOG
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.writer import Writer, open_writer
from tests.proxies.follower import Follower
from tests.proxies.proxy import Proxy, Start, haproxy, nginx
from tests.stack import RunningStack, running_stack
from tests.unit.gateway.identity.minted import SECRET
from tests.waiting import WITHIN_S, until

GATEWAYS = 4
SHARDS = 64
SESSIONS = 160
READS_A_RECORD = 1.2
"""More than one where a gateway has gone, or a busy one gives away: 4 if each reads everything."""
SETTINGS = {
    "TALKLOG_AUTH": "jwt",
    "TALKLOG_JWT_SECRET": SECRET,
    "TALKLOG_TRUSTED_PROXIES": "127.0.0.1",
    "TALKLOG_SHARDS": str(SHARDS),
    "TALKLOG_CANARY_EVERY_S": "0",  # its records would be counted too
    # All of them are one person at one address.
    "TALKLOG_CONNECTIONS_PER_USER": "0",
    "TALKLOG_CONNECTIONS_PER_ADDRESS": "0",
    "TALKLOG_ADDRESS_CONNECTIONS_PER_SECOND": "0",
}


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy and the gateways behind it, on a log that only the test writes."""

    proxy: Proxy
    gateways: Sequence[Gateway]
    kafka: str
    writer: Writer
    token: str

    @contextlib.asynccontextmanager
    async def followers(
        self, name: str, count: int, shards: int | None = SHARDS
    ) -> AsyncIterator[list[Follower]]:
        """Followers of sessions of their own, all live."""
        async with contextlib.AsyncExitStack() as opened:
            found = [
                await opened.enter_async_context(
                    Follower(self.proxy, self.token, f"{name}-{number}", shards)
                )
                for number in range(count)
            ]
            await asyncio.gather(*(follower.live() for follower in found))
            yield found

    async def answer(self, followers: Sequence[Follower], message_id: str) -> None:
        """Answer in every session, piece by piece."""
        await asyncio.gather(
            *(
                self.writer.answer(follower.session_id, message_id, [f"{message_id} ", "word "])
                for follower in followers
            )
        )

    async def reads(self) -> tuple[float, int]:
        """How many records the gateways have read, and how many were written."""
        living = [each for each in self.gateways if each.process.poll() is None]
        read = sum(each.metric("records_read_total") for each in living)
        reader = LogReader(
            self.kafka, SESSION_LOG, SHARDS, on_records=lambda *_: None, on_gap=lambda *_: None
        )
        await reader.start()
        try:
            return read, sum((await reader.end_offsets(range(SHARDS))).values())
        finally:
            await reader.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("servers")
    with running_stack(folder, servers_only=True, SHARDS=str(SHARDS)) as stack:
        yield stack


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
async def front(
    request: pytest.FixtureRequest, servers: RunningStack, tmp_path: Path
) -> AsyncIterator[Front]:
    start: Start = request.param
    claims = {"sub": "alice", "exp": time.time() + 3600, "sessions": ["*"]}
    async with contextlib.AsyncExitStack() as opened:
        gateways = [
            opened.enter_context(running_gateway(servers, tmp_path / f"gateway-{each}", **SETTINGS))
            for each in range(GATEWAYS)
        ]
        proxy = opened.enter_context(start(tmp_path / "proxy", [each.port for each in gateways]))
        writer = await opened.enter_async_context(
            open_writer(servers.file.kafka, servers.epoch, SHARDS)
        )
        token = signed(claims, secret_key(SECRET, "HS256"))
        yield Front(proxy, gateways, servers.file.kafka, writer, token)


async def test_each_record_is_read_about_once_and_a_dead_gateways_shards_are_read_by_the_others(
    front: Front, request: pytest.FixtureRequest
) -> None:
    async with front.followers(f"{request.node.callspec.id}-once", SESSIONS) as followers:
        read, written = await front.reads()
        await front.answer(followers, "m1")
        await asyncio.gather(*(each.has("m1 word ") for each in followers))
        read_after, written_after = await front.reads()
        assert written_after - written >= 4 * SESSIONS
        assert (read_after - read) / (written_after - written) <= READS_A_RECORD

        busiest = max(front.gateways, key=lambda each: each.metric("connections"))
        lost = busiest.metric("connections")
        assert lost >= 1
        busiest.process.send_signal(signal.SIGKILL)
        await busiest.exit_code()
        await front.answer(followers, "m2")  # nobody has come back yet, or some have
        await asyncio.gather(*(each.has("m1 word m2 word ") for each in followers))
        assert sum(each.sockets - 1 for each in followers) >= lost
        await asyncio.gather(*(each.live() for each in followers))

        read, written = await front.reads()
        await front.answer(followers, "m3")
        await asyncio.gather(*(each.has("m1 word m2 word m3 word ") for each in followers))
        read_after, written_after = await front.reads()
        assert (read_after - read) / (written_after - written) <= READS_A_RECORD


async def test_a_reload_of_the_proxy_closes_nobodys_socket(
    front: Front, request: pytest.FixtureRequest
) -> None:
    name = f"{request.node.callspec.id}-reload"
    async with front.followers(name, 40) as followers:
        front.proxy.reload()
        await front.answer(followers, "m1")
        async with front.followers(f"{name}-new", 4) as later:
            await front.answer([*followers, *later], "m2")
            await asyncio.gather(*(each.has("m1 word m2 word ") for each in followers))
            await asyncio.gather(*(each.has("m2 word ") for each in later))
        assert {each.sockets for each in followers} == {1}


async def test_who_does_not_name_its_shard_is_served_too_and_not_all_by_one(
    front: Front, request: pytest.FixtureRequest
) -> None:
    async with front.followers(f"{request.node.callspec.id}-any", 40, None) as followers:
        await front.answer(followers, "m1")
        await asyncio.gather(*(each.has("m1 word ") for each in followers))
        assert all(each.metric("connections") for each in front.gateways)


async def test_the_page_is_there_and_the_client_is_who_the_proxy_says(front: Front) -> None:
    base = front.proxy.url.replace("wss", "https")

    def got(path: str, **headers: str) -> tuple[int, str, str | None]:
        asked = urllib.request.Request(f"{base}{path}", headers=headers)
        with urllib.request.urlopen(asked, timeout=WITHIN_S, context=front.proxy.tls) as answer:
            secured = answer.headers["Strict-Transport-Security"]
            return answer.status, answer.read().decode(), secured

    status, page, secured = await asyncio.to_thread(got, "/")
    assert (status, secured) == (200, "max-age=31536000")
    assert "<title>talklog</title>" in page
    assert (await asyncio.to_thread(got, ""))[1] == page  # sent on to the folder
    assert '"shards":64' in (await asyncio.to_thread(got, "/where/abc"))[1]
    async with connect(
        f"{front.proxy.url}/ws/chat/abc/",
        origin=Origin("https://elsewhere.example"),
        additional_headers={"X-Forwarded-For": "6.6.6.6"},
        ssl=front.proxy.tls,
    ) as socket:
        await socket.wait_closed()
    assert socket.close_code == CloseCode.FORBIDDEN

    def told() -> str:
        return "".join(each.output.read_text() for each in front.gateways)

    await until(lambda: "elsewhere.example" in told(), WITHIN_S, told)
    line = next(line for line in told().splitlines() if "elsewhere.example" in line)
    assert "127.0.0.1" in line
    assert "6.6.6.6" not in line
