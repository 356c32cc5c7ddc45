"""The prompt's orders decide what a call does, and mistakes in them are told."""

import json

import pytest

from tests.scripted_model.ledger import Ledger
from tests.scripted_model.script import (
    BadScript,
    Script,
    answer_text,
    key_of,
    read_script,
    token_text,
)
from tests.scripted_model.wire import Wire


def test_orders_in_the_prompt_go_before_the_default() -> None:
    default = Script(tokens=5, rate=50)
    script = read_script("say [[key=m17 tokens=200 fault=hang_after:10]] please", default=default)
    assert (script.key, script.tokens, script.rate) == ("m17", 200, 50)
    assert (script.fault, script.fault_at) == ("hang_after", 10)


def test_a_prompt_without_a_key_names_itself() -> None:
    assert read_script("m17 [[tokens=3]]", default=Script()).key == "m17"
    assert read_script("How are you?", default=Script()).key == key_of("How are you?")
    assert key_of("How are you?") != key_of("How are they?")


@pytest.mark.parametrize(
    "orders", ["speed=9", "fault=explode", "tokens=many", "dress=tie", "tokens", "fault_at=3"]
)
def test_orders_that_cannot_be_followed_are_told(orders: str) -> None:
    with pytest.raises(BadScript):
        read_script(f"[[{orders}]]", default=Script())


def test_a_fault_for_the_first_calls_only() -> None:
    script = read_script("[[fault=status:500 fails=2]]", default=Script())
    assert [script.for_call(number).fault for number in (1, 2, 3)] == ["status", "status", ""]


def test_each_token_names_message_call_and_index() -> None:
    assert token_text("m17", 1, 42) == " m17/c1/0042"
    data = Wire(Script(key="m17", tokens=3), 2, "model").tokens(0, 3)
    contents = [
        json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"]["content"]
        for event in data.split(b"\n\n")
        if event
    ]
    assert "".join(contents) == answer_text("m17", 2, 3)


def test_the_ledger_counts_open_calls_and_the_most_there_were() -> None:
    ledger = Ledger()
    first = ledger.begin("m1", [], "model", 1.0)
    ledger.begin("m1", [], "model", 2.0)
    ledger.wrote(first, 7)
    ledger.end(first, "done", 3.0)
    assert ledger.summary() == {
        "calls": 2,
        "open": 1,
        "max_open": 2,
        "tokens": 7,
        "states": {"done": 1},
        "by_key": {"m1": 2},
    }
    assert [call.number for call in ledger.of("m1")] == [1, 2]
