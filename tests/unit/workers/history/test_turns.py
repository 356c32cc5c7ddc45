"""What is remembered does not depend on the order in which it came."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Prompt
from schemas.transcript import Message, Place
from tests.turn_cases import CASES, TURNS, Case
from workers.history.prompt import Turn, estimate_tokens
from workers.history.turns import merged, turn_pair, turns_of


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_the_cases_that_redis_runs_too(case: Case) -> None:
    assert merged(case.stored, case.new, case.budget_tokens) == case.kept


@given(
    memories=st.lists(TURNS, max_size=4),
    budget=st.integers(1, 60),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_merges_does_not_matter(
    memories: list[list[Turn]], budget: int, order: random.Random
) -> None:
    forward: list[Turn] = []
    for turns in memories:
        forward = merged(forward, turns, budget)
    shuffled = list(memories)
    order.shuffle(shuffled)
    other: list[Turn] = []
    for turns in shuffled:
        other = merged(other, turns, budget)
    assert other == forward
    assert merged(forward, forward, budget) == forward


@given(stored=TURNS, budget=st.integers(1, 60))
def test_no_hole_and_no_more_than_one_message_over_the_budget(
    stored: list[Turn], budget: int
) -> None:
    everything = merged([], stored, 10**9)
    kept = merged([], stored, budget)
    assert everything[len(everything) - len(kept) :] == kept
    without_oldest = [turn for turn in kept if turn.message_id != kept[0].message_id]
    assert sum(estimate_tokens(turn.content) for turn in without_oldest) < budget
    if kept != everything:
        assert sum(estimate_tokens(turn.content) for turn in kept) >= budget


def message(*, state: str, text: str, place: Place | None = Place(2, 7)) -> Message:  # noqa: B008
    return Message(
        "m1",
        prompt=Prompt(content="ask", created_at="2026-01-01T00:00:00.000Z"),
        state=state,  # type: ignore[arg-type]
        last=place,
        contents=[text] if text else [],
    )


@pytest.mark.parametrize("state", ["complete", "error"])
def test_an_ended_message_with_text_becomes_two_turns(state: str) -> None:
    assert turns_of(message(state=state, text="said"), epoch=2) == [
        Turn("user", "ask", "m1", 7, 2),
        Turn("assistant", "said", "m1", 7, 2),
    ]
    assert turn_pair("m1", "ask", "said", epoch=2, offset=7) == turns_of(
        message(state=state, text="said"), epoch=2
    )


def test_an_answer_without_text_is_not_remembered() -> None:
    assert turns_of(message(state="complete", text=""), epoch=2) == []


def test_a_running_message_is_not_remembered_yet() -> None:
    assert turns_of(message(state="generating", text="so far"), epoch=2) == []


def test_a_message_that_an_earlier_log_left_open_is_over() -> None:
    assert len(turns_of(message(state="generating", text="so far"), epoch=3)) == 2
