"""The model client against a real HTTP server that fails in every way a model can."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count

import pytest

from schemas.events import Usage
from tests.model_deltas import deltas_of
from tests.scripted_model.script import answer_text
from tests.scripted_model.server import ScriptedModel
from tests.waiting import WITHIN_S, once_within
from tests.worker_defaults import model_limits
from workers.history.prompt import ChatMessage
from workers.model.endpoint import Address
from workers.model.faults import (
    ContextTooLong,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from workers.model.model import Model, ModelLimits
from workers.model.stream import Finished, Text

QUICK = model_limits(first_token_s=5.0, idle_s=5.0, whole_s=20.0)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as server:
        yield server


def at(url: str) -> Address:
    return Address("first", url, "none")


class Asker:
    """Asks one prompt and keeps what came before the end or the fault."""

    def __init__(self, server: ScriptedModel, limits: ModelLimits = QUICK) -> None:
        self.model = Model(at(server.url), limits=limits, chance=lambda: 0.01)
        self.text = ""
        self.finished: Finished | None = None

    async def ask(self, prompt: str) -> "Asker":
        self.text, self.finished = "", None
        messages = [ChatMessage(role="user", content=prompt)]
        async with self.model.stream(messages, model="scripted", max_tokens=9) as deltas:
            async for delta in deltas_of(deltas):
                if isinstance(delta, Text):
                    assert delta.content
                    self.text += delta.content
                elif isinstance(delta, Finished):
                    assert self.finished is None
                    self.finished = delta
        return self


@pytest.fixture
async def asker(server: ScriptedModel) -> AsyncIterator[Asker]:
    asker = Asker(server)
    yield asker
    await asker.model.aclose()


@contextlib.asynccontextmanager
async def with_limits(server: ScriptedModel, **limits: float) -> AsyncIterator[Asker]:
    asker = Asker(server, replace(QUICK, **limits))  # type: ignore[arg-type]
    yield asker
    await asker.model.aclose()


async def until(condition: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  (the ledger has no events to wait for)
            await asyncio.sleep(0.005)


async def until_closed(server: ScriptedModel) -> None:
    await until(lambda: server.ledger.open == 0, 30.0)


# -- a whole answer ------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, 200])
async def test_a_whole_answer(server: ScriptedModel, asker: Asker, rate: int) -> None:
    await asker.ask(f"hello [[key=m1 tokens=40 rate={rate}]]")
    assert asker.text == answer_text("m1", 1, 40)
    usage = server.ledger.of("m1")[0].usage
    assert usage is not None
    assert asker.finished == Finished(
        "stop",
        Usage(
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
            estimated=False,
        ),
    )


async def test_the_model_gets_the_messages_as_they_are(server: ScriptedModel, asker: Asker) -> None:
    messages = [
        ChatMessage(role="system", content="be kind"),
        ChatMessage(role="user", content="m1"),
        ChatMessage(role="assistant", content="so far"),
        ChatMessage(role="user", content="m2 [[key=m2]]"),
    ]
    async with asker.model.stream(messages, model="big-one", max_tokens=9) as deltas:
        async for _ in deltas_of(deltas):
            pass
    call = server.ledger.of("m2")[0]
    assert (call.messages, call.model) == (messages, "big-one")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("max_tokens", "length"),
        ("tool_calls", "stop"),
        ("eos", "stop"),
    ],
)
async def test_finish_reasons(asker: Asker, told: str, kept: str) -> None:
    finished = (await asker.ask(f"[[finish={told} tokens=2]]")).finished
    assert finished is not None
    assert finished.finish_reason == kept


async def test_an_empty_answer(asker: Asker) -> None:
    await asker.ask("[[tokens=0]]")
    assert asker.text == ""
    assert asker.finished is not None
    assert asker.finished.finish_reason == "stop"


@pytest.mark.parametrize(
    "dress",
    ["crlf", "cr", "comments", "bom", "bytewise", "multiline", "crlf+bom+multiline+bytewise"],
)
async def test_every_dress_of_the_standard(asker: Asker, dress: str) -> None:
    await asker.ask(f"[[key=m1 tokens=10 dress={dress}]]")
    assert asker.text == answer_text("m1", 1, 10)


async def test_reasoning_and_tool_calls_are_no_part_of_the_answer(asker: Asker) -> None:
    await asker.ask("[[key=m1 tokens=10 dress=reasoning+tools]]")
    assert asker.text == answer_text("m1", 1, 10)


@pytest.mark.parametrize(
    ("dress", "seen"),
    [
        ("nul", "\ufffd"),
        ("surrogate", "\ufffd"),
        ("bad_utf8", "\ufffd\ufffd"),
        ("emoji+bytewise", "😀|😀|é|漢"),
    ],
)
async def test_what_postgres_or_json_would_refuse(asker: Asker, dress: str, seen: str) -> None:
    await asker.ask(f"[[key=m1 tokens=2 dress={dress}]]")
    assert asker.text == answer_text("m1", 1, 2) + seen


async def test_a_huge_token(asker: Asker) -> None:
    await asker.ask("[[key=m1 tokens=2 huge=300000]]")
    assert asker.text == answer_text("m1", 1, 2) + "~" * 300_000


@pytest.mark.parametrize("fault", ["", "fault=late_end"])
async def test_a_connection_is_used_again(server: ScriptedModel, asker: Asker, fault: str) -> None:
    # A late end may be too late on a busy machine: then the connection is closed, and a new one is.
    for asked in range(1, 20):
        await asker.ask(f"[[tokens=5 {fault}]]")
        if server.connections < asked:
            return
    raise AssertionError(f"{server.connections} connections for {asked} calls")


# -- ends without all of it ----------------------------------------------------------------------


async def test_no_usage(asker: Asker) -> None:
    await asker.ask("[[tokens=3 usage=no]]")
    assert asker.finished == Finished("stop", None)


async def test_no_done_after_a_finish_reason(asker: Asker) -> None:
    finished = (await asker.ask("[[tokens=3 fault=no_done]]")).finished
    assert finished is not None
    assert finished.finish_reason == "stop"


@pytest.mark.parametrize("fault", ["no_finish", "end_after:3"])
async def test_no_finish_reason(asker: Asker, fault: str) -> None:
    await asker.ask(f"[[key=m1 tokens=3 fault={fault}]]")
    assert asker.text == answer_text("m1", 1, 3)
    assert asker.finished is not None
    assert asker.finished.finish_reason is None


async def test_a_connection_left_open_after_the_finish_reason(server: ScriptedModel) -> None:
    never = 10 * WITHIN_S
    async with with_limits(server, idle_s=never, whole_s=never) as asker:
        async with asyncio.timeout(WITHIN_S):
            finished = (await asker.ask("[[tokens=3 fault=hang_end]]")).finished
    assert finished is not None
    assert finished.finish_reason == "stop"
    assert finished.usage is not None


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["cut_after:3", "garbage_after:3", "too_long_after:3"])
async def test_broken_after_some_text(server: ScriptedModel, asker: Asker, fault: str) -> None:
    await asker.ask(f"[[key=m1 tokens=9 fault={fault}]]")
    assert asker.finished is not None
    assert asker.finished.finish_reason is None
    assert asker.finished.broken_off
    assert asker.text == answer_text("m1", 1, 3)
    assert server.ledger.by_key["m1"] == 1  # never a second call after the first byte


@pytest.mark.parametrize("fault", ["cut_after:0", "garbage_after:0", "too_long_after:0"])
async def test_broken_before_any_text(server: ScriptedModel, asker: Asker, fault: str) -> None:
    with pytest.raises(ModelUnavailable) as raised:
        await asker.ask(f"[[key=m1 fault={fault}]]")
    assert raised.value.retryable
    assert asker.text == ""
    assert server.ledger.by_key["m1"] == 1


@pytest.mark.parametrize("after", [0, 3])
async def test_an_error_told_in_the_stream(asker: Asker, after: int) -> None:
    with pytest.raises(ModelUnavailable, match="the engine died"):
        await asker.ask(f"[[key=m1 fault=error_after:{after}]]")
    assert asker.text == answer_text("m1", 1, after)


@pytest.mark.parametrize(
    "fault",
    ["status:429", "status:500", "status:502", "status:503", "status:408", "drop", "empty_body"],
)
async def test_passing_faults_are_tried_again_before_the_first_byte(
    server: ScriptedModel, asker: Asker, fault: str
) -> None:
    await asker.ask(f"[[key=m1 tokens=3 fault={fault} fails=2]]")
    assert asker.text == answer_text("m1", 3, 3)
    with pytest.raises(ModelUnavailable) as raised:
        await asker.ask(f"[[key=m2 tokens=3 fault={fault}]]")
    assert (raised.value.code, raised.value.retryable) == ("model_unavailable", True)
    assert server.ledger.by_key["m2"] == 3


async def test_retry_after_is_honoured(server: ScriptedModel, asker: Asker) -> None:
    keys = count()

    async def waited_s() -> float:
        key = f"after{next(keys)}"
        await asker.ask(f"[[key={key} tokens=3 fault=status:429 retry_after=1 fails=1]]")
        first, second = server.ledger.of(key)
        assert second.opened_s - first.opened_s >= 1.0
        return second.opened_s - first.opened_s

    await once_within(1.5, waited_s)


async def test_a_long_retry_after_is_left_to_the_user(server: ScriptedModel, asker: Asker) -> None:
    with pytest.raises(ModelUnavailable) as raised:
        await asker.ask("[[key=m1 fault=status:429 retry_after=3600]]")
    assert raised.value.retry_after_s == 3600
    assert server.ledger.by_key["m1"] == 1


@pytest.mark.parametrize("fault", ["status:400", "status:401", "status:404", "status:422", "quota"])
async def test_a_refusal_is_not_tried_again(
    server: ScriptedModel, asker: Asker, fault: str
) -> None:
    with pytest.raises(ModelRejected) as raised:
        await asker.ask(f"[[key=m1 fault={fault}]]")
    assert (raised.value.code, raised.value.retryable) == ("model_rejected", False)
    assert server.ledger.by_key["m1"] == 1


async def test_a_prompt_that_is_too_long(asker: Asker) -> None:
    with pytest.raises(ContextTooLong) as raised:
        await asker.ask("[[fault=context]]")
    assert (raised.value.code, raised.value.retryable) == ("context_too_long", False)


async def test_an_answer_that_is_no_stream(server: ScriptedModel, asker: Asker) -> None:
    with pytest.raises(ModelUnavailable, match="text/html"):
        await asker.ask("[[key=m1 fault=wrong_type]]")
    assert server.ledger.by_key["m1"] == 1


async def test_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        model = Model(at(f"http://127.0.0.1:{port}/v1"), limits=QUICK, chance=lambda: 0)
        with pytest.raises(ModelUnavailable, match="reached"):
            async with model.stream([], model="scripted", max_tokens=9):
                pass
        await model.aclose()


# -- time-outs -----------------------------------------------------------------------------------


async def test_connecting_takes_too_long() -> None:
    # A listener that never accepts, its queue full: the next connect hangs.
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        model = Model(
            at(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"),
            limits=replace(QUICK, connect_s=0.2, retries=1),
            chance=lambda: 0,
        )
        with pytest.raises(ModelTimeout) as raised:
            async with model.stream([], model="scripted", max_tokens=9):
                pass
        assert raised.value.which == "connect"
        await model.aclose()


@pytest.mark.parametrize("fault", ["hang_headers", "hang_after:0", "murmur_after:0"])
async def test_the_first_token_takes_too_long(server: ScriptedModel, fault: str) -> None:
    async with with_limits(server, first_token_s=1.0) as asker:
        with pytest.raises(ModelTimeout) as raised:
            await asker.ask(f"[[key=m1 fault={fault}]]")
    assert (raised.value.code, raised.value.which) == ("model_timeout", "first_token")
    assert server.ledger.by_key["m1"] == 1
    await until_closed(server)


async def test_slow_headers_are_waited_for(server: ScriptedModel) -> None:
    async with with_limits(server, first_token_s=5.0) as asker:
        await asker.ask("[[key=m1 tokens=3 fault=slow_headers:300]]")
    assert asker.text == answer_text("m1", 1, 3)


@pytest.mark.parametrize("fault", ["hang_after:3", "murmur_after:3"])
async def test_silence_between_tokens(server: ScriptedModel, fault: str) -> None:
    async with with_limits(server, idle_s=1.0) as asker:
        with pytest.raises(ModelTimeout) as raised:
            await asker.ask(f"[[key=m1 fault={fault}]]")
    assert raised.value.which == "idle"
    assert asker.text == answer_text("m1", 1, 3)


async def test_the_whole_answer_takes_too_long(server: ScriptedModel) -> None:
    async with with_limits(server, whole_s=2.0) as asker:
        with pytest.raises(ModelTimeout) as raised:
            await asker.ask("[[key=m1 tokens=1000 rate=50]]")
    assert raised.value.which == "whole"
    assert answer_text("m1", 1, 1000).startswith(asker.text)
    assert asker.text


async def test_a_reader_that_pauses_does_not_blame_the_model(server: ScriptedModel) -> None:
    async with with_limits(server, idle_s=1.0) as asker:
        messages = [ChatMessage(role="user", content="[[key=m1 tokens=30 rate=100]]")]
        text = ""
        async with asker.model.stream(messages, model="scripted", max_tokens=9) as deltas:
            async for delta in deltas_of(deltas):
                if isinstance(delta, Text):
                    if not text:
                        await asyncio.sleep(2.0)
                    text += delta.content
    assert text == answer_text("m1", 1, 30)


# -- cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["hang_headers", "hang_after:0", "hang_after:5"])
async def test_a_cancelled_answer_closes_the_connection(
    server: ScriptedModel, asker: Asker, fault: str
) -> None:
    call_due = 5 if fault.endswith("5") else 0
    keys = count()

    async def closed_within_s() -> float:
        key = f"m{next(keys)}"
        asking = asyncio.create_task(asker.ask(f"[[key={key} fault={fault}]]"))
        await until(lambda: any(c.tokens >= call_due for c in server.ledger.of(key)), 30)
        began = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until_closed(server)
        assert server.ledger.of(key)[0].state == "closed"
        return time.monotonic() - began

    await once_within(0.5, closed_within_s)


async def test_leaving_the_block_closes_the_connection(server: ScriptedModel, asker: Asker) -> None:
    messages = [ChatMessage(role="user", content="[[key=m1 tokens=1000 rate=50]]")]
    async with asker.model.stream(messages, model="scripted", max_tokens=9) as deltas:
        async for delta in deltas_of(deltas):
            assert isinstance(delta, Text)
            break
    await until_closed(server)
    assert server.ledger.of("m1")[0].state == "closed"


async def test_many_streams_at_once(server: ScriptedModel) -> None:
    asker = Asker(server)

    async def one(index: int) -> None:
        each = Asker.__new__(Asker)
        each.model = asker.model
        await each.ask(f"[[key=m{index} tokens=20 rate=20]]")
        assert each.text == answer_text(f"m{index}", 1, 20)

    async with asyncio.TaskGroup() as group:
        for index in range(200):
            group.create_task(one(index))
    await asker.model.aclose()
    assert server.ledger.max_open >= 150
