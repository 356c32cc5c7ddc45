"""The prompt holds what fits: always the message itself, then the newest turns."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Usage
from tests.turn_cases import TURNS, pair
from workers.history.prompt import (
    Turn,
    build_prompt,
    estimate_tokens,
    estimate_usage,
    newest_that_fit,
)

HISTORY = [*pair(1), *pair(2), *pair(3)]


def contents(history: list[Turn], *, budget: int, system: str = "", message_id: str = "m9") -> str:
    prompt = build_prompt(
        system=system,
        history=history,
        message_id=message_id,
        content="now?",
        budget_tokens=budget,
    )
    return " ".join(f"{message['role'][0]}:{message['content']}" for message in prompt)


def test_estimates() -> None:
    assert estimate_tokens("") == 4
    assert estimate_tokens("abcd") == 5
    assert estimate_tokens("abcde") == 6
    assert estimate_tokens("😀é") == 6


def test_system_history_message() -> None:
    assert contents(pair(1), budget=99, system="be kind") == "s:be kind u:ask a:said u:now?"


def test_the_oldest_messages_are_left_out_first() -> None:
    assert contents(HISTORY, budget=5 + 20) == "u:ask a:said u:ask a:said u:now?"
    assert contents(HISTORY, budget=5 + 19) == "u:ask a:said u:now?"


def test_a_question_and_its_answer_stay_together() -> None:
    assert contents(pair(1), budget=5 + 9) == "u:now?"


def test_the_message_itself_is_always_there() -> None:
    assert contents(HISTORY, budget=1, system="be kind") == "s:be kind u:now?"


def test_an_earlier_try_at_the_same_message_is_left_out() -> None:
    assert contents(HISTORY, budget=99, message_id="m2").count("u:ask") == 2


def test_a_usage_that_the_model_did_not_tell() -> None:
    prompt = build_prompt(system="", history=[], message_id="m1", content="now?", budget_tokens=99)
    assert estimate_usage(prompt, "12345678") == Usage(
        prompt_tokens=5, completion_tokens=2, estimated=True
    )


@given(history=TURNS, budget=st.integers(0, 80))
def test_what_is_kept_is_the_newest_part_and_fits(history: list[Turn], budget: int) -> None:
    kept = newest_that_fit(history, budget)
    assert history[len(history) - len(kept) :] == kept
    assert sum(estimate_tokens(turn.content) for turn in kept) <= budget
    # No more would have fitted.
    left_out = history[: len(history) - len(kept)]
    if left_out:
        last = [turn for turn in left_out if turn.message_id == left_out[-1].message_id]
        with_last = [*last, *kept]
        assert sum(estimate_tokens(turn.content) for turn in with_last) > budget
