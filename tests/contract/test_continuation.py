"""A model that is asked to go on with a text, in every form that servers want, over real HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.model_deltas import deltas_of
from tests.scripted_model.raw import JSON, Raw, raw_server
from tests.scripted_model.script import answer_text
from tests.scripted_model.server import ScriptedModel
from tests.worker_defaults import model_limits
from workers.history.prompt import ChatMessage
from workers.model.continuation import CannotContinue, Form, forms_of
from workers.model.endpoint import Address
from workers.model.faults import ModelRejected
from workers.model.model import Model
from workers.model.stream import Finished, Text

LIMITS = model_limits(first_token_s=20.0, idle_s=20.0, whole_s=60.0, retries=0)
WHOLE = answer_text("m1", 1, 20)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as server:
        yield server


async def go_on(
    model: Model, so_far: str, orders: str = "", max_tokens: int = 1000
) -> tuple[str, Finished]:
    """What follows the text so far, and how it ended."""
    said, ended = "", None
    messages = [ChatMessage(role="user", content=f"m1 [[key=m1 tokens=20 {orders}]]")]
    asked = model.stream(messages, model="m", max_tokens=max_tokens, so_far=so_far)
    async with asked as deltas:
        async for delta in deltas_of(deltas):
            if isinstance(delta, Text):
                said += delta.content
            elif isinstance(delta, Finished):
                ended = delta
    assert ended is not None
    return said, ended


def a_model(url: str, **fields: Any) -> Model:
    return Model(Address("first", url, "none", **fields), limits=LIMITS)


@pytest.mark.parametrize("cut", [1, 5, 13, 100, len(WHOLE) - 1, len(WHOLE)])
@pytest.mark.parametrize("prefill", ["go", "strict", "prefix", "repeat"])
async def test_the_text_is_whole_wherever_it_was_cut_whatever_the_server_wants(
    server: ScriptedModel, prefill: str, cut: int
) -> None:
    model = a_model(server.url)
    so_far = WHOLE[:cut] if cut > len(" m1/c1/0000") else WHOLE[: 11 + cut]
    said, ended = await go_on(model, so_far, f"prefill={prefill}")
    assert so_far + said == WHOLE
    assert ended.finish_reason == "stop"
    assert model.continues
    await model.aclose()


async def test_each_token_is_asked_for_once(server: ScriptedModel) -> None:
    model = a_model(server.url)
    await go_on(model, answer_text("m1", 1, 12))
    assert server.ledger.tokens == 8
    assert [each["role"] for each in server.ledger.calls[-1].messages] == ["user", "assistant"]
    await model.aclose()


async def test_a_form_that_is_refused_is_not_asked_again(server: ScriptedModel) -> None:
    model = a_model(server.url)
    for _ in range(2):
        await go_on(model, answer_text("m1", 1, 12), "prefill=strict")
    assert server.ledger.by_key["m1"] == 3  # of the first, one refusal
    await model.aclose()


async def test_who_refuses_every_form_is_not_asked_to_go_on_again(server: ScriptedModel) -> None:
    model = a_model(server.url)
    for _ in range(2):
        with pytest.raises(CannotContinue):
            await go_on(model, answer_text("m1", 1, 12), "prefill=refuse")
    assert server.ledger.by_key["m1"] == len(Form)
    assert not model.continues
    await model.aclose()


async def test_who_begins_another_answer_is_noticed_and_not_asked_again(
    server: ScriptedModel,
) -> None:
    model = a_model(server.url)
    await go_on(model, "")
    with pytest.raises(CannotContinue):
        await go_on(model, answer_text("m1", 1, 12), "prefill=other:10")
    assert not model.continues
    await model.aclose()


async def test_a_repetition_that_breaks_off_says_nothing_of_the_server(
    server: ScriptedModel,
) -> None:
    model = a_model(server.url)
    with pytest.raises(CannotContinue):
        await go_on(model, answer_text("m1", 1, 12), "prefill=other:8 fault=cut_after:8")
    assert model.continues
    await model.aclose()


async def test_where_it_is_switched_off_nothing_is_asked(server: ScriptedModel) -> None:
    model = a_model(server.url, continues=False)
    assert not model.continues
    with pytest.raises(CannotContinue):
        await go_on(model, answer_text("m1", 1, 12))
    assert not server.ledger.by_key
    await model.aclose()


async def test_white_space_alone_is_begun_anew_and_not_doubled(server: ScriptedModel) -> None:
    model = a_model(server.url)
    said, _ = await go_on(model, " ")
    assert " " + said == WHOLE
    assert server.ledger.calls[-1].messages[-1]["role"] == "user"
    await model.aclose()


async def test_a_text_that_has_all_its_tokens_ends_without_asking(server: ScriptedModel) -> None:
    model = a_model(server.url)
    assert await go_on(model, WHOLE, max_tokens=5) == ("", Finished("length", None))
    assert not server.ledger.by_key
    await model.aclose()


async def test_a_context_that_the_text_fills_ends_it_as_its_length(server: ScriptedModel) -> None:
    model = a_model(server.url)
    said, ended = await go_on(model, answer_text("m1", 1, 12), "fault=context")
    assert (said, ended) == ("", Finished("length", None))
    await model.aclose()


async def test_a_server_that_fails_at_it_is_asked_anew_and_nothing_is_learned(
    server: ScriptedModel,
) -> None:
    model = a_model(server.url)
    with pytest.raises(CannotContinue):
        await go_on(model, answer_text("m1", 1, 12), "fault=status:500")
    assert model.continues
    await model.aclose()


async def test_a_wrong_key_is_no_form() -> None:
    told = Raw([json.dumps({"error": {"message": "bad key"}}).encode()], 401, dict(JSON))
    async with raw_server(lambda _: told) as served:
        model = a_model(served.url)
        with pytest.raises(ModelRejected):
            await go_on(model, "one")
        assert model.continues
        await model.aclose()


async def test_the_forms_as_they_are_sent() -> None:
    """Each refuses, so that all are asked; and tokens that the text has had are not asked for."""
    told = Raw([json.dumps({"error": {"message": "no"}}).encode()], 400, dict(JSON))
    async with raw_server(lambda _: told) as served:
        model = a_model(served.url)
        with pytest.raises(CannotContinue):
            await go_on(model, "one two \n", max_tokens=100)
        bodies = [body | {"messages": body["messages"][1:]} for body in served.asked]
        said = {"role": "assistant", "content": "one two"}
        common = {"max_tokens": 99, "model": "m", "stream": True}
        common["stream_options"] = {"include_usage": True}
        told_vllm = {"continue_final_message": True, "add_generation_prompt": False}
        assert bodies == [
            common | {"messages": [said]} | told_vllm,
            common | {"messages": [said | {"prefix": True}]},
            common | {"messages": [said]},
        ]
        await model.aclose()


@pytest.mark.parametrize(
    ("url", "forms"),
    [
        ("https://api.openai.com/v1", ()),
        ("https://mine.openai.azure.com/openai/v1", ()),
        ("https://api.mistral.ai/v1", (Form.PREFIX,)),
        ("https://api.deepseek.com/beta", (Form.PREFIX,)),
        ("https://api.deepseek.com/v1", ()),
        ("https://openrouter.ai/api/v1", (Form.PLAIN,)),
        ("https://api.anthropic.com/v1", (Form.PLAIN,)),
        ("http://127.0.0.1:8000/v1", (Form.VLLM, Form.PREFIX, Form.PLAIN)),
        ("https://notopenai.com.example/v1", (Form.VLLM, Form.PREFIX, Form.PLAIN)),
    ],
)
def test_the_forms_of_an_address(url: str, forms: tuple[Form, ...]) -> None:
    parts = urlsplit(url)
    assert forms_of(parts.hostname or "", parts.path) == forms
