"""Who joins without a cursor is given the fold of the session: from Postgres and the log."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.gateway.client import Client, Frame
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.rows import store
from tests.integration.gateway.writer import Writer, chunks, complete, start
from tests.stack import RunningStack


def answers(frame: Frame) -> dict[str, dict[str, Any]]:
    return {m["message_id"]: m for m in frame["messages"] if m["role"] == "assistant"}


def prompts(frame: Frame) -> dict[str, str]:
    return {m["message_id"]: m["content"] for m in frame["messages"] if m["role"] == "user"}


async def snapshot(gateway: Gateway, session_id: str, query: str = "") -> Frame:
    async with Client(gateway.url, session_id, query) as client:
        return await client.got(lambda f: f["type"] == "snapshot")


async def test_a_new_session_is_given_an_empty_snapshot(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        frame = await client.got(lambda f: f["type"] == "snapshot")
        assert (frame["messages"], frame["ended"]) == ([], [])
        assert client.states()[0] == "connected"
        assert client.frames[0]["recovered"] is None


async def test_a_tab_opened_in_mid_answer_gets_the_text_so_far_and_goes_on(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    pieces = [f"{number} " for number in range(1000)]
    await writer.put(start(session_id, "m1"), *chunks(session_id, "m1", pieces[:500]))
    async with Client(gateway.url, session_id) as client:
        frame = await client.got(lambda f: f["type"] == "snapshot")
        answer = answers(frame)["m1"]
        assert answer["content"] == "".join(pieces[:500])
        assert (answer["state"], answer["attempt"], answer["fence"]) == (
            "generating",
            "a1",
            [1, 1, 0],
        )
        assert answer["last_sequence"] == 500
        assert prompts(frame)["m1"] == "prompt of m1"
        for event in chunks(session_id, "m1", pieces[500:], first=501):
            await writer.put(event)
        await writer.put(complete(session_id, "m1", 1000))
        await client.got(lambda f: f["type"] == "ai_response_complete")
        assert answer["content"] + client.text() == "".join(pieces)


@pytest.mark.parametrize("stored", range(5))
async def test_rows_and_log_give_one_fold_wherever_the_rows_end(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str, stored: int
) -> None:
    events = [
        start(session_id, "m1"),
        *chunks(session_id, "m1", ["one ", "two "]),
        complete(session_id, "m1", 2),
    ]
    placed = [(event, await writer.put(event)) for event in events]
    position = placed[stored][1] if stored < len(placed) else placed[-1][1] + 1
    await store(servers.file.postgres, servers.epoch, session_id, placed[:stored], position)
    frame = await snapshot(gateway, session_id, "?history=5")
    answer = answers(frame)["m1"]
    assert (answer["content"], answer["state"], answer["damaged"]) == (
        "one two ",
        "complete",
        False,
    )
    assert prompts(frame) == {"m1": "prompt of m1"}
    assert frame["ended"] == []


async def test_finished_messages_are_named_in_ended_unless_history_asks_for_them(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    for number in range(4):
        await writer.answer(session_id, f"m{number}", [f"text {number}"], attempt=f"a{number}")
    frame = await snapshot(gateway, session_id)
    assert (frame["messages"], frame["ended"]) == ([], ["m0", "m1", "m2", "m3"])
    frame = await snapshot(gateway, session_id, "?history=2")
    assert {key: one["content"] for key, one in answers(frame).items()} == {
        "m2": "text 2",
        "m3": "text 3",
    }
    assert frame["ended"] == ["m0", "m1"]


async def test_a_late_start_of_a_finished_message_is_known_to_be_late(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    # m1 is complete and in the rows; a process that was thought dead starts it once more.
    events = [start(session_id, "m1"), complete(session_id, "m1", 0)]
    placed = [(event, await writer.put(event)) for event in events]
    await store(servers.file.postgres, servers.epoch, session_id, placed, placed[-1][1] + 1)
    await writer.put(start(session_id, "m1", attempt="late", fence=1))
    frame = await snapshot(gateway, session_id)
    assert (frame["messages"], frame["ended"]) == ([], ["m1"])


async def test_a_message_of_an_earlier_epoch_that_never_ended_is_lost(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    await store(
        servers.file.postgres, servers.epoch - 1, session_id, [(start(session_id, "m1"), 3)], 4
    )
    # The persister has gone on to this epoch's log, which holds nothing of m1.
    last = await writer.put(start(session_id, "m2", attempt="a2"))
    await store(servers.file.postgres, servers.epoch, session_id, [], last)
    frame = await snapshot(gateway, session_id, "?history=5")
    assert (answers(frame)["m1"]["state"], answers(frame)["m1"]["code"]) == ("error", "lost")
    assert answers(frame)["m2"]["state"] == "generating"
    assert [m["message_id"] for m in (await snapshot(gateway, session_id))["messages"]] == [
        "m2",
        "m2",
    ]


async def test_history_is_unavailable_while_postgres_is_away_and_follows(
    writer: Writer, servers: RunningStack, session_id: str
) -> None:
    await writer.answer(session_id, "m0", ["before"], attempt="a0")
    log = servers.state / f"{uuid4().hex}.log"
    with running_gateway(servers, log) as fresh:
        servers.hold("postgres")
        try:
            async with Client(fresh.url, session_id) as client:
                await client.got(lambda f: f.get("state") == "history_unavailable")
                await writer.answer(session_id, "m1", ["live ", "goes on"])
                await client.got(lambda f: f["type"] == "ai_response_complete")
                assert client.text() == "live goes on"
                servers.let_go("postgres")
                frame = await client.got(lambda f: f["type"] == "snapshot")
                # It ended since the connection joined: its frames lie before the snapshot.
                assert answers(frame)["m1"]["content"] == "live goes on"
                assert frame["ended"] == ["m0"]
                assert client.states().count("history_unavailable") == 1
                await writer.answer(session_id, "m2", ["after"], attempt="a2")
                await client.got(lambda f: f["type"] == "ai_response_complete", 2)
        finally:
            servers.let_go("postgres")


async def test_a_heartbeat_carries_the_position_of_an_idle_session(
    gateway: Gateway, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        await client.until(lambda: client.of_type("heartbeat"), deadline_s=20.0)
        (beat,) = client.of_type("heartbeat")
    async with Client(gateway.url, session_id, f"?cursor={beat['cursor']}") as again:
        await again.joined()
        assert again.frames[0]["recovered"] is True


async def test_earlier_messages_are_given_page_by_page(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    placed = []
    for number in range(25):
        answer = [
            start(session_id, f"m{number:02}", f"a{number}"),
            *chunks(session_id, f"m{number:02}", [f"text {number}"], f"a{number}"),
            complete(session_id, f"m{number:02}", 1, f"a{number}"),
        ]
        placed += [(event, await writer.put(event)) for event in answer]
    await store(servers.file.postgres, servers.epoch, session_id, placed, placed[-1][1] + 1)
    async with Client(gateway.url, session_id, "?history=5") as client:
        frame = await client.got(lambda f: f["type"] == "snapshot")
        shown = list(answers(frame))
        assert (shown, frame["more"]) == ([f"m{number}" for number in range(20, 25)], True)
        pages = 0
        while frame["more"]:
            await client.send({"type": "history", "before": shown[0], "limit": 8})
            pages += 1
            frame = await client.got(lambda f: f["type"] == "history", pages)
            assert frame["before"] == shown[0]
            assert set(prompts(frame)) == set(answers(frame))
            shown = [*answers(frame), *shown]
        assert shown == [f"m{number:02}" for number in range(25)]
        assert pages == 3
        # Who names no message, or one that is not known, is given the newest.
        await client.send({"type": "history", "limit": 1})
        assert list(answers(await client.got(lambda f: f["type"] == "history", 4))) == ["m24"]


async def test_a_long_history_is_cut_by_its_size_before_it_is_read(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    placed = []
    for number in range(12):
        answer = [
            start(session_id, f"m{number:02}", f"a{number}"),
            *chunks(session_id, f"m{number:02}", ["x" * 100_000], f"a{number}"),
            complete(session_id, f"m{number:02}", 1, f"a{number}"),
        ]
        placed += [(event, await writer.put(event)) for event in answer]
    await store(servers.file.postgres, servers.epoch, session_id, placed, placed[-1][1] + 1)
    frame = await snapshot(gateway, session_id, "?history=1000")
    assert list(answers(frame)) == [f"m{number:02}" for number in range(7, 12)]
    assert frame["ended"] == [f"m{number:02}" for number in range(7)]
    assert frame["more"] is True
