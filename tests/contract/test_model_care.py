"""A model that fails, and another one beside it: who is asked, how often, and what ends the answer.

Real HTTP against scripted models; breakers stay open until the test's own clock says otherwise, by
a time so long that no test outlives it, or so short that it is waited for.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from prometheus_client import REGISTRY

from tests.model_deltas import deltas_of
from tests.scripted_model.script import answer_text
from tests.scripted_model.server import ScriptedModel
from tests.worker_defaults import model_limits
from workers.history.prompt import ChatMessage
from workers.model.breaker import BreakerState
from workers.model.endpoint import Address
from workers.model.faults import (
    FaultKind,
    ModelFault,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from workers.model.model import Model, ModelLimits
from workers.model.stream import Text

FAILURES = 3
LIMITS = model_limits(
    first_token_s=20.0,
    idle_s=20.0,
    whole_s=60.0,
    retries=2,
    breaker_failures=FAILURES,
    breaker_open_s=3600.0,
)
ONCE = replace(LIMITS, retries=0)
WITHIN_S = 30.0


@pytest.fixture
async def first() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as server:
        yield server


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"


@contextlib.asynccontextmanager
async def a_model(
    url: str, fallback: str | None = None, limits: ModelLimits = LIMITS, name: str | None = None
) -> AsyncIterator[Model]:
    other = None if fallback is None else Address("fallback", fallback, "none", name)
    model = Model(Address("first", url, "none"), fallback=other, limits=limits, chance=lambda: 0.0)
    try:
        yield model
    finally:
        await model.aclose()


async def answer(model: Model, prompt: str) -> str:
    messages = [ChatMessage(role="user", content=prompt)]
    text = ""
    async with model.stream(messages, model="scripted", max_tokens=9) as deltas:
        async for delta in deltas_of(deltas):
            text += delta.content if isinstance(delta, Text) else ""
    return text


async def failing(model: Model, prompt: str, times: int = 1) -> ModelFault:
    for _ in range(times):
        with pytest.raises(ModelFault) as raised:
            await answer(model, prompt)
    return raised.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110  (neither the ledger nor time has events)
            await asyncio.sleep(0.01)


def counted(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"talklog_worker_{metric}_total", labels) or 0.0


# -- asking again --------------------------------------------------------------------------------


async def test_a_retry_after_that_is_a_date(first: ScriptedModel) -> None:
    now = datetime.now(UTC)  # noqa: TID251  (the model's date is a real one)
    at = now.replace(microsecond=0) + timedelta(seconds=2)
    date = format_datetime(at, usegmt=True).replace(" ", "_")
    async with a_model(first.url) as model:
        text = await answer(
            model, f"[[key=m1 tokens=3 fault=status:503 fails=1 retry_after={date}]]"
        )
    assert text == answer_text("m1", 2, 3)
    assert datetime.now(UTC) >= at  # noqa: TID251


async def test_a_retry_after_beyond_the_setting_ends_clearly(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=replace(LIMITS, retry_after_max_s=0.5)) as model:
        failed = await failing(model, "[[key=m1 fault=status:429 retry_after=1]]")
    assert (failed.code, failed.retryable, failed.retry_after_s) == ("model_unavailable", True, 1.0)
    assert "it asks to wait 1 s" in failed.message
    assert first.ledger.by_key["m1"] == 1


async def test_what_is_asked_again_is_counted(first: ScriptedModel) -> None:
    labels = {"address": "first", "fault": "server_error"}
    before = counted("model_asked_again", **labels)
    async with a_model(first.url) as model:
        await answer(model, "[[key=m1 tokens=3 fault=status:500 fails=2]]")
    assert counted("model_asked_again", **labels) - before == 2


# -- the breaker ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["status:500", "drop", "empty_body", "wrong_type"])
async def test_an_address_that_keeps_failing_is_left_alone(
    first: ScriptedModel, fault: str
) -> None:
    async with a_model(first.url, limits=ONCE) as model:
        await failing(model, f"[[key=m1 fault={fault}]]", FAILURES)
        failed = await failing(model, "[[key=m2 tokens=3]]")
    assert isinstance(failed, ModelUnavailable)
    assert (failed.kind, failed.retryable) == (FaultKind.NOT_ASKED, True)
    assert failed.retry_after_s is not None
    assert 0 < failed.retry_after_s <= 3600
    assert first.ledger.by_key == {"m1": FAILURES}


async def test_hanging_before_the_headers_opens_it(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=replace(ONCE, first_token_s=0.1)) as model:
        failed = await failing(model, "[[key=m1 fault=hang_headers]]", FAILURES)
        assert isinstance(failed, ModelTimeout)
        assert model.endpoints[0].state is BreakerState.OPEN


async def test_nobody_listening_opens_it(nobody: str) -> None:
    async with a_model(nobody, limits=ONCE) as model:
        await failing(model, "m1", FAILURES)
        assert (await failing(model, "m1")).kind is FaultKind.NOT_ASKED


@pytest.mark.parametrize(
    "fault", ["status:400", "status:401", "status:404", "status:409", "status:429", "context"]
)
async def test_refusals_never_open_it(first: ScriptedModel, fault: str) -> None:
    async with a_model(first.url, limits=ONCE) as model:
        await failing(model, f"[[key=m1 fault={fault}]]", 3 * FAILURES)
        assert await answer(model, "[[key=m2 tokens=3]]") == answer_text("m2", 1, 3)
    assert first.ledger.by_key["m1"] == 3 * FAILURES


async def test_failures_after_the_first_byte_never_open_it(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=ONCE) as model:
        await failing(model, "[[key=m1 fault=garbage_after:0]]", 3 * FAILURES)
        assert model.endpoints[0].state is BreakerState.CLOSED


async def test_the_tries_of_one_answer_end_when_it_opens(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=replace(LIMITS, retries=10)) as model:
        failed = await failing(model, "[[key=m1 fault=status:500]]")
    # What the model said is told, not that it is left alone from now on.
    assert failed.kind is FaultKind.SERVER_ERROR
    assert first.ledger.by_key["m1"] == FAILURES


async def test_one_probe_then_everybody(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=replace(ONCE, breaker_open_s=0.2)) as model:
        endpoint = model.endpoints[0]
        await failing(model, "[[key=m1 fault=drop]]", FAILURES)
        await until(lambda: endpoint.state is BreakerState.HALF_OPEN)
        probe = asyncio.create_task(answer(model, "[[key=probe tokens=3 fault=hold_headers]]"))
        await until(lambda: first.ledger.by_key["probe"] == 1)
        others = await asyncio.gather(
            *(answer(model, f"[[key=m2 tokens={n}]]") for n in range(20)), return_exceptions=True
        )
        assert {getattr(other, "kind", None) for other in others} == {FaultKind.NOT_ASKED}
        first.release()
        assert await probe == answer_text("probe", 1, 3)
        assert endpoint.state is BreakerState.CLOSED
        await asyncio.gather(*(answer(model, f"[[key=m3 tokens={n}]]") for n in range(20)))
    assert first.ledger.by_key == {"m1": FAILURES, "probe": 1, "m3": 20}


async def test_a_probe_that_is_cancelled_leaves_room_for_the_next(first: ScriptedModel) -> None:
    async with a_model(first.url, limits=replace(ONCE, breaker_open_s=0.1)) as model:
        await failing(model, "[[key=m1 fault=drop]]", FAILURES)
        await until(lambda: model.endpoints[0].state is BreakerState.HALF_OPEN)
        probe = asyncio.create_task(answer(model, "[[key=probe fault=hang_headers]]"))
        await until(lambda: first.ledger.by_key["probe"] == 1)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert await answer(model, "[[key=m2 tokens=3]]") == answer_text("m2", 1, 3)


# -- a second address ----------------------------------------------------------------------------


async def test_the_second_is_left_alone_while_the_first_answers(
    first: ScriptedModel, second: ScriptedModel
) -> None:
    async with a_model(first.url, second.url) as model:
        await answer(model, "[[key=m1 tokens=3 fault=status:503 fails=2]]")
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (3, 0)


async def test_it_answers_when_nobody_listens_at_the_first(
    nobody: str, second: ScriptedModel
) -> None:
    labels = {"address": "fallback", "outcome": "answered"}
    before = counted("model_calls", **labels)
    async with a_model(nobody, second.url) as model:
        assert await answer(model, "[[key=m1 tokens=3]]") == answer_text("m1", 1, 3)
    assert counted("model_calls", **labels) - before == 1


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        ("status:500", 3),
        ("status:429 retry_after=0", 3),
        ("status:429 retry_after=3600", 1),
        ("drop", 3),
        ("wrong_type", 1),
        ("quota", 1),
    ],
)
async def test_it_answers_when_the_first_has_had_its_tries(
    first: ScriptedModel, second: ScriptedModel, fault: str, calls: int
) -> None:
    first.order(*[f"fault={fault}"] * calls)
    async with a_model(first.url, second.url) as model:
        assert await answer(model, "[[key=m1 tokens=3]]") == answer_text("m1", 1, 3)
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (calls, 1)


async def test_it_answers_when_the_first_hangs(first: ScriptedModel, second: ScriptedModel) -> None:
    first.order("fault=hang_headers")
    async with a_model(first.url, second.url, replace(LIMITS, first_token_s=2.0)) as model:
        assert await answer(model, "[[key=m1 tokens=3]]") == answer_text("m1", 1, 3)
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (1, 1)


async def test_it_answers_alone_while_the_first_is_open(
    first: ScriptedModel, second: ScriptedModel
) -> None:
    first.order(*["fault=status:500"] * FAILURES)
    async with a_model(first.url, second.url) as model:
        for n in range(5):
            assert await answer(model, f"[[key=m{n} tokens=3]]") == answer_text(f"m{n}", 1, 3)
    assert first.ledger.by_key == {"m0": FAILURES}
    assert sum(second.ledger.by_key.values()) == 5


@pytest.mark.parametrize(("name", "asked"), [(None, "scripted"), ("another", "another")])
async def test_the_name_of_the_model_there(
    nobody: str, second: ScriptedModel, name: str | None, asked: str
) -> None:
    async with a_model(nobody, second.url, name=name) as model:
        await answer(model, "[[key=m1 tokens=3]]")
    assert second.ledger.of("m1")[0].model == asked


@pytest.mark.parametrize("fault", ["status:400", "status:401", "context"])
async def test_what_the_first_refuses_is_not_asked_elsewhere(
    first: ScriptedModel, second: ScriptedModel, fault: str
) -> None:
    async with a_model(first.url, second.url) as model:
        failed = await failing(model, f"[[key=m1 fault={fault}]]")
    assert isinstance(failed, ModelRejected)
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [
        "cut_after:0",
        "cut_after:3",
        "garbage_after:0",
        "error_after:3",
        "hang_after:3",
        "end_after:3",
    ],
)
async def test_nothing_is_asked_after_the_first_byte(
    first: ScriptedModel, second: ScriptedModel, fault: str
) -> None:
    async with a_model(first.url, second.url, replace(LIMITS, idle_s=0.2)) as model:
        with contextlib.suppress(ModelFault):
            await answer(model, f"[[key=m1 fault={fault}]]")
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (1, 0)


async def test_an_error_told_before_any_text_is_like_one_of_http(
    first: ScriptedModel, second: ScriptedModel
) -> None:
    """Nobody has read of the answer yet: an engine that died is asked again, then the other one."""
    first.order(*["fault=error_after:0"] * 3)
    async with a_model(first.url, second.url) as model:
        assert await answer(model, "[[key=m1 tokens=3]]") == answer_text("m1", 1, 3)
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (3, 1)


async def test_both_failing_ends_as_retryable(first: ScriptedModel, second: ScriptedModel) -> None:
    async with a_model(first.url, second.url) as model:
        failed = await failing(model, "[[key=m1 fault=status:503]]")
    assert (failed.code, failed.retryable) == ("model_unavailable", True)
    assert (first.ledger.by_key["m1"], second.ledger.by_key["m1"]) == (3, 3)


async def test_a_second_that_refuses_does_not_make_it_hopeless(
    first: ScriptedModel, second: ScriptedModel
) -> None:
    first.order(*["fault=status:503"] * 3)
    second.order("fault=status:401")
    async with a_model(first.url, second.url) as model:
        failed = await failing(model, "[[key=m1 tokens=3]]")
    assert (failed.kind, failed.retryable) == (FaultKind.SERVER_ERROR, True)
    assert second.ledger.by_key["m1"] == 1


async def test_both_are_left_alone_when_both_keep_failing(nobody: str) -> None:
    async with a_model(nobody, nobody, ONCE) as model:
        await failing(model, "m1", FAILURES)
        assert [endpoint.state for endpoint in model.endpoints] == [BreakerState.OPEN] * 2
        failed = await failing(model, "m1")
    assert (failed.kind, failed.retryable) == (FaultKind.NOT_ASKED, True)
