"""A worker is killed, Postgres stands still: what people see, what the tables hold later."""

import asyncio
import os

import psycopg
import pytest

from deploy.chat.link import Address, Link
from schemas.transcript import Message
from tests.end_to_end.reader import Reader
from tests.end_to_end.relay import Relay
from tests.end_to_end.test_whole_path import rows, rows_hold, urls
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text, is_whole
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

STANDSTILL_S = float(os.environ.get("STANDSTILL_S", "15"))
ANSWERS, TOKENS, HELD_AT = 50, 60, 50


async def test_a_worker_killed_in_the_middle_of_fifty_answers(
    stack: RunningStack, model: ModelControl
) -> None:
    """Every one ends complete, once, with the text of one call; the fold says why.

    None ends before the worker is killed: each stops before its last tokens until it is let go on.
    """
    model.reset()
    sessions = [f"killed-{number}" for number in range(ANSWERS)]
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(_one_long_answer(stack, session)) for session in sessions]
        await until(lambda: model.state()["open"] == ANSWERS, WITHIN_S, "all answers run")
        stack.kill("worker-1")

        def over() -> bool:
            model.release()
            return all(answer.done() for answer in answers)

        await until(over, WITHIN_S, "every end")
    restarted = 0
    for session, answer in zip(sessions, answers, strict=True):
        message = answer.result()
        assert message.state == "complete"
        assert is_whole(message.text, session, TOKENS), message.text
        assert model.state()["by_key"][session] == message.starts
        restarted += message.starts - 1
    assert 0 < restarted < ANSWERS
    for session, answer in zip(sessions, answers, strict=True):
        await rows_hold(stack, session, answer.result().text)


async def _one_long_answer(stack: RunningStack, session: str) -> Message:
    async with Reader(urls(stack)[0], session) as reader:
        orders = f"tokens={TOKENS} rate=20 fault=hold_after:{HELD_AT}"
        await reader.ask(f"go [[key={session} {orders}]]", "m0")
        await reader.until(lambda: reader.message("m0").terminal, 120)
        return reader.message("m0")


async def test_chat_goes_on_while_postgres_stands_still(
    stack: RunningStack, model: ModelControl
) -> None:
    """Rows do not grow meanwhile; afterwards the table is complete."""
    await _chat(stack, "before-standstill")
    await rows_hold(stack, "before-standstill", answer_text("before-standstill", 1, 30))
    stack.hold("postgres")
    try:
        loop = asyncio.get_running_loop()
        end, number = loop.time() + STANDSTILL_S, 0
        while loop.time() < end:
            await _chat(stack, f"standstill-{number}")
            number += 1
    finally:
        stack.let_go("postgres")
    assert number > 0
    for each in range(number):
        await rows_hold(stack, f"standstill-{each}", answer_text(f"standstill-{each}", 1, 30))


async def test_postgres_killed_and_started_again(stack: RunningStack, model: ModelControl) -> None:
    stack.kill("postgres")
    await _chat(stack, "without-postgres")
    await until(
        lambda: _rows_if_up(stack, "without-postgres"), WITHIN_S, "Postgres is back, rows there"
    )
    await rows_hold(stack, "without-postgres", answer_text("without-postgres", 1, 30))


async def _chat(stack: RunningStack, session: str) -> None:
    async with Reader(urls(stack)[0], session) as reader:
        await reader.ask(f"go [[key={session} tokens=30]]", "m0")
        message = await reader.ended("m0")
    assert message.state == "complete"
    assert message.text == answer_text(session, 1, 30)


def _rows_if_up(stack: RunningStack, session: str) -> str:
    try:
        return rows(stack, session)
    except psycopg.OperationalError:
        return ""


async def test_a_gateway_that_stands_still_is_left_in_the_middle_of_an_answer(
    stack: RunningStack, model: ModelControl
) -> None:
    """The client goes on at another gateway with its cursor, before the first moves again."""
    model.reset()
    session = "gateway-stands"
    async with Relay(urls(stack)) as network:
        link = Link(Address(network.url, session, 0), lambda: None)
        running = asyncio.create_task(link.run())
        try:
            await until(lambda: link.state == "connected", WITHIN_S, "connected")
            orders = f"tokens={TOKENS} rate=20 fault=hold_after:{HELD_AT}"
            await link.ask("m0", f"go [[key={session} {orders}]]")
            message = link.view.transcript.messages.get
            await until(lambda: bool((m := message("m0")) and m.text), WITHIN_S, "text")
            stack.hold("gateway-1")  # the network's first choice
            try:
                await until(lambda: link.state != "connected", WITHIN_S, "left")
                model.release()
                await until(lambda: link.view.over("m0"), WITHIN_S, "the end")
            finally:
                stack.let_go("gateway-1")
            told = message("m0")
            assert told is not None
            assert (told.state, told.text) == ("complete", answer_text(session, 1, TOKENS))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
