"""A client comes back with its cursor: exactly what came after it, or a snapshot, never a hole."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest

from schemas.events import Event
from schemas.topics import SESSION_LOG, shard_of
from tests.integration.gateway.client import Client, Frame
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.rows import store
from tests.integration.gateway.writer import SHARDS, Writer, chunks, complete, start
from tests.stack import RunningStack
from tests.trim import trim

PIECES = [f"{number}," for number in range(60)]


def batched(things: list[str], count: int) -> Iterator[list[str]]:
    for first in range(0, len(things), count):
        yield things[first : first + count]


def connected(client: Client) -> bool | None:
    (frame,) = [f for f in client.frames if f.get("state") == "connected"]
    recovered: bool | None = frame["recovered"]
    return recovered


async def test_a_resume_from_every_place_of_an_answer_gives_the_rest_of_it_once(
    gateway: Gateway, second_gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await writer.put(start(session_id, "m1"))
    # Not `first` + 1, + 2, …: others may write into this shard as well.
    offsets = [await writer.put(event) for event in chunks(session_id, "m1", PIECES)]
    await writer.put(complete(session_id, "m1", len(PIECES)))
    async with Client(gateway.url, session_id, f"?cursor={writer.cursor(session_id, first)}") as c:
        await c.got(lambda f: f["type"] == "ai_response_complete")
        assert connected(c) is True
        assert c.text() == "".join(PIECES)
        # One, unless the tail itself was a moment behind.
        assert len(c.of_type("ai_response_chunk")) < 10
    for number, url in ((1, gateway.url), (30, second_gateway.url), (60, gateway.url)):
        cursor = writer.cursor(session_id, offsets[number - 1])
        async with Client(url, session_id, f"?cursor={cursor}") as client:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.of_type("snapshot") == []
            assert client.text() == "".join(PIECES[number:])


async def test_a_resume_in_a_running_answer_goes_on_live(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await writer.put(start(session_id, "m1"))
    await writer.put(*chunks(session_id, "m1", PIECES[:20]))
    cursor = writer.cursor(session_id, first)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.got(lambda f: f["type"] == "ai_response_chunk")
        for event in chunks(session_id, "m1", PIECES[20:], first=21):
            await writer.put(event)
        await writer.put(complete(session_id, "m1", len(PIECES)))
        await client.got(lambda f: f["type"] == "ai_response_complete")
        assert client.text() == "".join(PIECES)


async def test_a_cursor_at_the_logs_end_is_recovered_with_nothing(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    cursor = writer.cursor(session_id, last)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        assert connected(client) is True
        assert client.log_frames() == []


@pytest.mark.parametrize("form", ["{epoch}.{other}.{last}", "{old}.{shard}.{last}", "x", "1.2", ""])
async def test_a_foreign_cursor_is_never_guessed_at(
    gateway: Gateway, writer: Writer, servers: RunningStack, session_id: str, form: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    shard = shard_of(session_id, SHARDS)
    cursor = form.format(
        epoch=servers.epoch,
        old=servers.epoch - 1,
        shard=shard,
        other=(shard + 1) % SHARDS,
        last=last,
    )
    async with Client(gateway.url, session_id, f"?cursor={cursor or '0.0.0'}") as client:
        await client.joined()
        assert connected(client) is False
        assert client.of_type("snapshot")


async def test_a_cursor_past_the_end_is_not_believed(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    cursor = writer.cursor(session_id, last + 1)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        assert connected(client) is False


async def test_what_memory_no_longer_holds_is_read_from_the_log(
    gateway: Gateway, writer: Writer, servers: RunningStack, session_id: str
) -> None:
    # Written before this gateway starts: its shard log begins after it.
    first = await writer.put(start(session_id, "m1"))
    await writer.put(*chunks(session_id, "m1", PIECES), complete(session_id, "m1", len(PIECES)))
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as fresh:
        cursor = writer.cursor(session_id, first)
        clients = [Client(fresh.url, session_id, f"?cursor={cursor}") for _ in range(9)]
        await asyncio.gather(*(client.__aenter__() for client in clients))
        for client in clients:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.text() == "".join(PIECES)
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
        assert fresh.metric("scans_total") < len(clients), (
            "those who wait together are served by one scan"
        )


async def test_a_thousand_clients_that_resume_cost_a_few_scans_a_shard(
    writer: Writer, servers: RunningStack
) -> None:
    """As when a gateway has died, and another that has read nothing yet takes all its clients."""
    sessions = [f"crowd-{uuid4().hex[:8]}" for _ in range(1000)]
    firsts: dict[str, int] = {}
    for some in batched(sessions, 50):
        async with asyncio.TaskGroup() as group:
            written = {s: group.create_task(writer.answer(s, "m1", PIECES[:5])) for s in some}
        firsts |= {session: last.result() - 6 for session, last in written.items()}
    log, at_once = servers.state / f"{uuid4().hex}.log", {"TALKLOG_CONNECTIONS_PER_SECOND": "0"}
    with running_gateway(servers, log, **at_once) as fresh:
        clients = [
            Client(fresh.url, session, f"?cursor={writer.cursor(session, firsts[session])}")
            for session in sessions
        ]
        began = time.monotonic()
        await asyncio.gather(*(client.__aenter__() for client in clients))
        for client in clients:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.text() == "".join(PIECES[:5])
        seconds, scans = time.monotonic() - began, fresh.metric("scans_total")
        print(
            f"1,000 clients have resumed in {seconds:.1f} s by {scans:.0f} scans of {SHARDS} shards"
        )
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
        # One for those that are there when it begins, one more for those that come too late for it,
        # and so on: four a shard here, more where a busy machine lets them in more slowly.
        assert scans <= len(clients) / 5


async def test_what_the_log_no_longer_holds_is_not_recovered(
    writer: Writer, servers: RunningStack
) -> None:
    session = f"trimmed-{uuid4().hex[:8]}"
    first = await writer.put(start(session, "m1"))
    last = await writer.put(*chunks(session, "m1", PIECES), complete(session, "m1", len(PIECES)))
    await trim(servers.file.kafka, SESSION_LOG, shard_of(session, SHARDS), before=last)
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as fresh:
        cursor = writer.cursor(session, first)
        async with Client(fresh.url, session, f"?cursor={cursor}") as client:
            await client.joined()
            assert connected(client) is False


async def test_more_than_can_be_promised_is_a_snapshot_not_an_endless_4008(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await writer.put(start(session_id, "m1"))
    piece = "x" * 16_000
    async with Client(gateway.url, session_id) as follower:
        await follower.joined()
        await writer.put(*chunks(session_id, "m1", [piece] * 80))
        # The whole is in the gateway's memory now.
        await follower.got(lambda f: f.get("sequence") == 80)
    cursor = writer.cursor(session_id, first)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        assert connected(client) is False
        snapshot = await client.got(lambda f: f["type"] == "snapshot")
        assert snapshot["messages"][1]["content"] == piece * 80


async def test_whoever_joins_or_comes_back_at_any_moment_ends_with_the_same_text(
    gateway: Gateway,
    second_gateway: Gateway,
    writer: Writer,
    servers: RunningStack,
    session_id: str,
) -> None:
    pieces = [f"{number} " for number in range(600)]
    events = [start(session_id, "m1"), *chunks(session_id, "m1", pieces)]
    events.append(complete(session_id, "m1", len(pieces)))
    placed: list[tuple[Event, int]] = []
    done = asyncio.Event()

    async def write() -> None:
        for event in events:
            placed.append((event, await writer.put(event)))
        done.set()

    async def come_and_go(number: int) -> Screen:
        screen = Screen()
        urls = (gateway.url, second_gateway.url)
        visits = 0
        while not screen.ended:
            query = f"?cursor={screen.cursor}" if screen.cursor else "?history=5"
            async with Client(urls[(number + visits) % 2], session_id, query) as client:
                await client.joined()
                # Cut after every few frames, until the answer has ended.
                wanted = len(client.frames) + 1 + (number + visits) % 7
                with contextlib.suppress(AssertionError):
                    await client.until(partial(enough, client, screen, wanted), deadline_s=2.0)
                for frame in list(client.frames):
                    screen.take(frame)
            visits += 1
            screen.visits = visits
        return screen

    async def store_now_and_then() -> None:
        stored = 0
        while not done.is_set():
            await asyncio.sleep(0.1)
            if not stored and len(placed) > 100:
                stored = len(placed)
                await store(
                    servers.file.postgres,
                    servers.epoch,
                    session_id,
                    placed[:stored],
                    placed[stored - 1][1] + 1,
                )

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(store_now_and_then())
        readers = [tasks.create_task(come_and_go(number)) for number in range(8)]
    for reader in readers:
        assert reader.result().faults == []
        assert reader.result().text == "".join(pieces)
    assert sum(reader.result().visits for reader in readers) > 50


def enough(client: Client, screen: "Screen", wanted: int) -> bool:
    return len(client.frames) >= wanted or screen.over(client)


class Screen:
    """What a client shows: one answer, taken from frames, with every hole and repeat noted."""

    def __init__(self) -> None:
        self.text = ""
        self.last = 0
        self.cursor = ""
        self.ended = False
        self.visits = 0
        self.whole = False
        self.faults: list[str] = []

    def over(self, client: Client) -> bool:
        return any(
            frame["type"] == "ai_response_complete"
            or any(m["state"] == "complete" for m in frame.get("messages", []))
            for frame in client.frames
        )

    def take(self, frame: Frame) -> None:
        if frame["type"] == "snapshot":
            self._show(frame)
        elif frame.get("state") == "connected":
            self.whole = frame["recovered"] is True
            if frame["recovered"] is False:
                self.faults.append("not recovered")
        elif not self.whole:
            return  # live frames before the snapshot: they are in it
        elif frame["type"] == "ai_response_chunk":
            first = frame.get("first_sequence", frame["sequence"])
            if first != self.last + 1:
                self.faults.append(f"{first} after {self.last}")
            self.text += frame["content"]
            self.last = frame["sequence"]
        elif frame["type"] == "ai_response_complete":
            self.ended = True
        self.cursor = frame.get("cursor", self.cursor)

    def _show(self, frame: Frame) -> None:
        self.whole = True
        for entry in frame["messages"]:
            if entry["role"] == "assistant":
                self.text, self.last = entry["content"], entry["last_sequence"]
                self.ended = entry["state"] == "complete"
