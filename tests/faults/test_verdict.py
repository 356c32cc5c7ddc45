"""The judge of the faults is judged: each kind of wrong is seen, in every witness, and only it."""

import dataclasses

import pytest

from tests.faults.verdict import Answer, Case, Wrong, judge, text_faults
from tests.scripted_model.script import answer_text, token_text

KEY, TOKENS = "s-1-1", 5
WHOLE = answer_text(KEY, 1, TOKENS)
GOOD = Answer("complete", WHOLE, "stop")
CASE = Case(KEY, TOKENS, True, shown=GOOD, log=GOOD, table=GOOD)


def token(index: int, call: int = 1, key: str = KEY) -> str:
    return token_text(key, call, index)


TEXTS = {
    "the last is missing": (answer_text(KEY, 1, 4), {Wrong.LOST}),
    "one in the middle is missing": (token(0) + token(1) + token(3) + token(4), {Wrong.LOST}),
    "one comes twice": (WHOLE.replace(token(2), token(2) * 2), {Wrong.DOUBLED}),
    "all comes twice": (WHOLE * 2, {Wrong.DOUBLED}),
    "the end is of the second call": (WHOLE.replace(token(4), token(4, call=2)), {Wrong.MIXED}),
    "one is another message's": (WHOLE.replace(token(4), token(4, key="s-2-1")), {Wrong.MIXED}),
    "a token is cut": (WHOLE[:-2], {Wrong.MIXED}),
    "two change places": (token(0) + token(2) + token(1) + token(3) + token(4), {Wrong.MIXED}),
    "nothing": ("", {Wrong.LOST}),
}


@pytest.mark.parametrize(("text", "wrong"), TEXTS.values(), ids=TEXTS)
def test_what_is_wrong_with_a_text(text: str, wrong: set[Wrong]) -> None:
    assert text_faults(text, KEY, TOKENS, whole=True) == wrong


@pytest.mark.parametrize("call", [1, 2])
def test_a_whole_text_of_any_one_call_is_right(call: int) -> None:
    assert not text_faults(answer_text(KEY, call, TOKENS), KEY, TOKENS, whole=True)


def test_a_beginning_is_right_where_the_answer_was_cut() -> None:
    assert not text_faults(answer_text(KEY, 1, 2), KEY, TOKENS, whole=False)
    assert not text_faults("", KEY, TOKENS, whole=False)
    assert text_faults(token(0) + token(2), KEY, TOKENS, whole=False) == {Wrong.LOST}


def _with(witness: str, answer: Answer | None) -> Case:
    case = dataclasses.replace(CASE)
    object.__setattr__(case, witness, answer)
    return case


def test_a_clean_case_is_clean() -> None:
    assert judge([CASE]).clean


@pytest.mark.parametrize("witness", ["shown", "log", "table"])
def test_a_wrong_text_is_seen_in_each_witness(witness: str) -> None:
    bad = Answer("complete", answer_text(KEY, 1, 4), "stop")
    verdict = judge([_with(witness, bad)])
    assert verdict.counts[Wrong.LOST] == 1
    assert verdict.counts[Wrong.MIXED]  # and it differs from what the others say


@pytest.mark.parametrize("witness", ["log", "table"])
@pytest.mark.parametrize("answer", [None, Answer("generating", WHOLE)])
def test_a_witness_without_an_end_has_lost_it(witness: str, answer: Answer | None) -> None:
    verdict = judge([_with(witness, answer)])
    assert verdict.counts == {Wrong.LOST: 1, Wrong.DOUBLED: 0, Wrong.MIXED: 0}


def test_no_end_on_the_screen_is_lost() -> None:
    case = dataclasses.replace(CASE, shown=Answer("generating", ""))
    assert judge([case]).counts[Wrong.LOST] == 1


def test_repeats_and_gaps_on_the_wire_count_though_the_text_is_right() -> None:
    counts = judge([dataclasses.replace(CASE, repeats=3, gaps=1)]).counts
    assert counts == {Wrong.LOST: 1, Wrong.DOUBLED: 1, Wrong.MIXED: 0}


def test_a_model_that_was_asked_without_a_start_in_the_log_was_asked_twice() -> None:
    assert judge([dataclasses.replace(CASE, calls=3, starts=1)]).clean
    assert judge([dataclasses.replace(CASE, calls=4, starts=1)]).counts[Wrong.DOUBLED] == 1


def test_two_whole_answers_that_differ_are_not_one() -> None:
    other = Answer("complete", answer_text(KEY, 2, TOKENS), "stop")
    assert judge([dataclasses.replace(CASE, table=other)]).counts[Wrong.MIXED] == 1
