"""Reasoning between tags, cut anywhere."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.model.think_tags import ThinkTags


def split(text: str, cuts: Iterable[int] = ()) -> tuple[str, str]:
    """Give reasoning and text; a piece may be empty."""
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    tags = ThinkTags()
    told = [tags.take(text[start:end]) for start, end in itertools.pairwise(edges)]
    told.append(tags.end())
    return "".join(thought for thought, _ in told), "".join(said for _, said in told)


OPENED = {
    "<think>\nA plan.\n</think>\n\nFour.": ("A plan.\n", "Four."),
    " \n<think>A plan.</think>Four.": ("A plan.", "Four."),
    "<THINK>A plan.</Think>Four.": ("A plan.", "Four."),
    "<thinking>A plan.</thinking> Four.": ("A plan.", "Four."),
    "<thought>A plan.</thought>Four.": ("A plan.", "Four."),
    "[THINK]A plan.[/THINK]Four.": ("A plan.", "Four."),
    "<think>\n\n</think>\n\nFour.": ("", "Four."),
    "<think>a</think>\n<think>b</think>Four.": ("ab", "Four."),
    "<think>a <think> b</think>Four.": ("a <think> b", "Four."),
    "<think>İ</think>İ": ("İ", "İ"),
    "<think>a plan that never e": ("a plan that never e", ""),
    "<think>a </thin": ("a </thin", ""),
    "<think>": ("", ""),
    "<think>a</think>Write `<think>` and `</think>`.": ("a", "Write `<think>` and `</think>`."),
}
NONE = [
    "Four.",
    "",
    "  \n",
    "  Four.",
    "<thi",
    "<thinker>",
    "<div>a</div>",
    "a < b",
    "a </thin",
    "Write <think> first.",
    "Then <think>a</think> b",
    "```xml\n<think>a</think>\n```",
    "`<think>`",
    "```\n</think>\n```",
    "The tag `</think>` closes it.",
    "The tag </think> closes it.",
    "</thinking>",
]
cuts = st.lists(st.integers(0, 60), max_size=12)


@settings(deadline=None)
@given(st.sampled_from(sorted(OPENED)), cuts)
def test_it_is_told_from_the_text_wherever_it_is_cut(text: str, at: list[int]) -> None:
    assert split(text, at) == OPENED[text]


@settings(deadline=None)
@given(st.sampled_from(NONE), cuts)
def test_what_is_no_reasoning_stays_as_it_was(text: str, at: list[int]) -> None:
    assert split(text, at) == ("", text)


@settings(deadline=None)
@given(st.text(st.sampled_from("<>/think`\n a"), max_size=40), cuts)
def test_text_without_a_tag_at_its_start_is_never_taken_for_reasoning(
    text: str, at: list[int]
) -> None:
    answer = "A" + text
    assert split(answer, at)[0] == ""
    assert split(answer, at) == split(answer, range(len(answer)))


@pytest.mark.parametrize("text", ["a plan\n</think>\n\nFour.", "</think>Four."])
def test_a_tag_that_only_closes_ends_reasoning_that_was_not_shown_yet(text: str) -> None:
    assert split(text) == (text.partition("</think>")[0], "Four.")


def test_what_was_shown_as_text_stays_text_when_a_tag_closes_it() -> None:
    """The prompt had opened the tag; in a stream nothing tells that before it is closed."""
    text = "a plan\n</think>\n\nFour. `</think>`"
    for cut in range(1, len("a plan\n</think>")):
        assert split(text, [cut]) == ("", "a plan\n\n\nFour. `</think>`")


def test_white_space_without_end_is_not_held() -> None:
    tags = ThinkTags()
    given_out = sum(len(tags.take(" " * 100)[1]) for _ in range(20))
    assert given_out >= 900
