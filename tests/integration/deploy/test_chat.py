"""`talklog chat` as people and scripts run it, against a gateway whose worker is the test."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from schemas.close_codes import CloseCode
from tests.browser.fake_gateway import FakeGateway, running
from tests.integration.deploy.typed import CTRL_C, typed
from tests.waiting import WITHIN_S


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with running() as listening:
        yield listening


class Piped:
    """`printf CONTENT | talklog chat`, under way."""

    def __init__(self, process: asyncio.subprocess.Process, content: str) -> None:
        self._process = process
        self._ended = asyncio.create_task(process.communicate(content.encode()))

    async def ended(self) -> tuple[int | None, str, str]:
        """Exit code, standard output, standard error."""
        out, err = await asyncio.wait_for(self._ended, WITHIN_S)
        return self._process.returncode, out.decode(), err.decode()


async def piped(content: str, *arguments: str) -> Piped:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TALKLOG_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", "chat", *arguments,
        stdin=-1, stdout=-1, stderr=-1, env=environ,
    )  # fmt: skip
    return Piped(process, content)


async def test_a_pipe_gives_the_answer_and_nothing_else(gateway: FakeGateway) -> None:
    run = await piped("hi\n", "--session", "s1", "--url", gateway.url)
    message = await gateway.next_asked()
    assert (message.session_id, message.content) == ("s1", "hi")
    await gateway.answer(message, "Hello, **you**\n\nand you")
    assert await run.ended() == (0, "Hello, **you**\n\nand you\n", "")


async def test_a_pipe_gives_the_text_of_one_attempt_only(gateway: FakeGateway) -> None:
    run = await piped("hi", "--session", "s1", "--url", gateway.url)
    message = await gateway.next_asked()
    await gateway.start(message, "a1", generation=1)
    await gateway.chunk(message, 1, "first")
    await gateway.start(message, "a2", generation=2)
    await gateway.chunk(message, 2, "zombie", attempt="a1")
    await gateway.chunk(message, 1, "second", attempt="a2")
    await gateway.complete(message, 1, attempt="a2")
    assert await run.ended() == (0, "second\n", "")


async def test_a_failed_answer_keeps_its_text_and_exits_1(gateway: FakeGateway) -> None:
    run = await piped("hi", "--session", "s1", "--url", gateway.url)
    message = await gateway.next_asked()
    await gateway.start(message)
    await gateway.chunk(message, 1, "half")
    await gateway.fail(message, "model_timeout")
    code, out, err = await run.ended()
    assert (code, out) == (1, "half\n")
    assert err.startswith("chat: model_timeout: ")


async def test_a_cut_loses_and_repeats_nothing(gateway: FakeGateway) -> None:
    run = await piped("hi", "--session", "s1", "--url", gateway.url)
    message = await gateway.next_asked()
    await gateway.start(message)
    for sequence in range(1, 7):
        await gateway.chunk(message, sequence, f"{sequence} ")
        if sequence % 2:
            gateway.cut()
            await gateway.chunk(message, 100 + sequence, "of another attempt", attempt="a0")
            await gateway.until_connected(2 + sequence // 2)
    await gateway.complete(message, 6)
    assert await run.ended() == (0, "1 2 3 4 5 6 \n", "")
    cursors = [address.cursor for address in gateway.addresses]
    assert cursors[0] is None
    assert all(cursors[1:])


async def test_a_message_that_was_not_accepted_is_sent_again_with_its_id(
    gateway: FakeGateway,
) -> None:
    gateway.accepts = False
    run = await piped("hi", "--session", "s1", "--url", gateway.url)
    first = await gateway.next_asked()
    gateway.cut()
    again = await gateway.next_asked()
    assert again.message_id == first.message_id
    await gateway.answer(again, "once")
    assert await run.ended() == (0, "once\n", "")


async def test_a_refused_message_exits_1_with_the_reason(gateway: FakeGateway) -> None:
    gateway.refuses = "rate_limited"
    run = await piped("hi", "--session", "s1", "--url", gateway.url)
    code, out, err = await run.ended()
    assert (code, out) == (1, "")
    assert err == "chat: rate_limited: no\n"


@pytest.mark.parametrize("code", [CloseCode.FORBIDDEN, CloseCode.BAD_SESSION])
async def test_a_close_that_is_the_end_exits_1(gateway: FakeGateway, code: CloseCode) -> None:
    gateway.closes = code
    exit_code, out, err = await (await piped("hi", "--session", "s1", "--url", gateway.url)).ended()
    assert (exit_code, out) == (1, "")
    assert err.count("\n") == 1


async def test_a_gateway_that_comes_later_is_found() -> None:
    later = FakeGateway()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        later.port = held.getsockname()[1]
    run = await piped("hi", "--session", "s1", "--url", later.url)
    await asyncio.sleep(0)
    await later.listen()
    try:
        await later.answer(await later.next_asked(), "there")
        assert await run.ended() == (0, "there\n", "")
    finally:
        await later.stop_listening()


async def test_nothing_to_send_is_a_usage_error(gateway: FakeGateway) -> None:
    code, _, err = await (await piped(" \n", "--url", gateway.url)).ended()
    assert (code, err) == (2, "chat: nothing to send: standard input is empty\n")


async def test_an_answer_streams_on_a_terminal_and_ctrl_c_stops_it(gateway: FakeGateway) -> None:
    async with typed("chat", "--session", "s1", "--url", gateway.url) as person:
        await person.sees(">")
        person.type("Hello?\r")
        message = await gateway.next_asked()
        await gateway.start(message)
        await gateway.chunk(message, 1, "Guten ")
        place = await person.sees("Guten ")
        await gateway.chunk(message, 2, "Tag")
        place = await person.sees("Tag", place)
        person.type(CTRL_C)
        assert (await gateway.next_stop()).message_id == message.message_id
        await gateway.complete(message, 2, "cancelled")
        place = await person.sees("complete, cancelled", place)
        await person.sees(">", place)
        person.type(CTRL_C)
        assert await person.leaves() == 0


async def test_the_history_stands_before_the_first_prompt(gateway: FakeGateway) -> None:
    run = await piped("What is a log?", "--session", "s1", "--url", gateway.url)
    await gateway.answer(await gateway.next_asked(), "A list that only grows.")
    await run.ended()
    async with typed("chat", "--session", "s1", "--url", gateway.url) as person:
        place = await person.sees("> What is a log?")
        place = await person.sees("A list that only grows.", place)
        await person.sees(">", place)
        person.type("\x04")
        assert await person.leaves() == 0


async def test_a_lost_connection_is_said_and_the_answer_goes_on(gateway: FakeGateway) -> None:
    async with typed("chat", "--session", "s1", "--url", gateway.url) as person:
        await person.sees(">")
        person.type("Hello?\r")
        message = await gateway.next_asked()
        await gateway.start(message)
        await gateway.chunk(message, 1, "one ")
        place = await person.sees("one ")
        gateway.cut()
        place = await person.sees("connection lost", place)
        await gateway.until_connected(2)
        await gateway.chunk(message, 2, "two")
        await gateway.complete(message, 2)
        place = await person.sees("two", place)
        await person.sees(">", place)
        assert person.screen.count("one ") == 1


async def test_thoughts_markdown_and_commands_on_a_terminal(gateway: FakeGateway) -> None:
    async with typed("chat", "--session", "s1", "--url", gateway.url) as person:
        await person.sees(">")
        person.type("/help\r")
        place = await person.sees("/session")
        person.type("/nope\r")
        place = await person.sees("there is no /nope", place)
        person.type("2 + 2?\r")
        message = await gateway.next_asked()
        assert message.content == "2 + 2?"
        await gateway.start(message)
        await gateway.thought(message, 1, "Two and two.")
        place = await person.sees("Two and two.", place)
        await gateway.chunk(message, 1, "- **Four**, `in")
        place = await person.sees("• Four, in", place)
        await gateway.chunk(message, 2, " all`")
        await gateway.complete(message, 2)
        place = await person.sees(" all", place)
        assert "**" not in person.screen
        place = await person.sees(">", place)
        person.type("/quit\r")
        assert await person.leaves() == 0
