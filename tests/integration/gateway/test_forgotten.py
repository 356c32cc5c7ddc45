"""A session that was forgotten, at a gateway: live, by a cursor of before, and for who joins."""

import json

from tests.integration.gateway.client import Client, Frame
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.rows import store
from tests.integration.gateway.writer import Writer, chunks, complete, start
from tests.stack import RunningStack
from tests.written import Say

SECRET, NEW = "secret", "new"
SAID_BEFORE = 7


def afterwards(session_id: str) -> Say:
    return Say(session_id, "m2", content=NEW, prompt_offset=SAID_BEFORE)


async def put_all(writer: Writer, session_id: str) -> int:
    """m1, the event, what is still written of m1, and m2; gives the offset of m1's first chunk."""
    await writer.put(start(session_id, "m1"))
    first = await writer.put(*chunks(session_id, "m1", [SECRET]))
    await writer.put(complete(session_id, "m1", 1))
    await writer.put(Say(session_id, "f").forgotten(SAID_BEFORE))
    late = Say(session_id, "m1", content=SECRET, prompt_offset=SAID_BEFORE - 1)
    await writer.put(late.generating("a2", (9, 9, 9)), late.chunk("a2", 1, SECRET))
    await writer.put(*afterwards(session_id).answer([NEW], attempt="b1"))
    return first


def is_snapshot(frame: Frame) -> bool:
    return bool(frame["type"] == "snapshot")


def is_end(frame: Frame) -> bool:
    return bool(frame["type"] == "ai_response_complete" and frame["message_id"] == "m2")


async def test_who_follows_is_told(gateway: Gateway, writer: Writer, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.got(is_snapshot)
        await put_all(writer, session_id)
        await client.got(is_end)
        [told] = client.of_type("session_forgotten")
        assert told["said_before"] == SAID_BEFORE
        assert told["cursor"]


async def test_who_comes_back_is_given_nothing_of_before(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await put_all(writer, session_id)
    query = f"?cursor={writer.cursor(session_id, first - 1)}"
    async with Client(gateway.url, session_id, query) as client:
        await client.got(is_end)
        assert client.frames[0]["recovered"] is True
        assert SECRET not in json.dumps(client.frames)
        told = [frame["type"] for frame in client.frames if "cursor" in frame]
        assert told[0] == "session_forgotten"


async def test_rows_that_are_behind_the_event_are_shown_to_nobody(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    """The persister has not come to it yet: the log knows better, for pages of history too."""
    events = [
        start(session_id, "m1"),
        *chunks(session_id, "m1", [SECRET]),
        complete(session_id, "m1", 1),
    ]
    placed = [(event, await writer.put(event)) for event in events]
    position = placed[-1][1] + 1
    await store(servers.file.postgres, servers.epoch, session_id, placed, position)
    async with Client(gateway.url, session_id, "?history=5") as client:
        assert SECRET in json.dumps(await client.got(is_snapshot))
        await client.send({"type": "history"})
        assert SECRET in json.dumps(await client.got(lambda f: f["type"] == "history"))
    await writer.put(Say(session_id, "f").forgotten(SAID_BEFORE))
    late = Say(session_id, "m1", content=SECRET, prompt_offset=SAID_BEFORE - 1)
    await writer.put(late.generating("a2", (9, 9, 9)), late.chunk("a2", 1, SECRET))
    await writer.put(*afterwards(session_id).answer([NEW], attempt="b1"))
    async with Client(gateway.url, session_id, "?history=5") as client:
        frame = await client.got(is_snapshot)
        assert {entry["message_id"] for entry in frame["messages"]} == {"m2"}
        assert (frame["ended"], frame["more"]) == ([], False)
        assert frame["forgotten_before"] == SAID_BEFORE
        await client.send({"type": "history"})
        page = await client.got(lambda f: f["type"] == "history")
        assert (page["messages"], page["more"]) == ([], False)
        assert SECRET not in json.dumps(client.frames)
