"""Where a continued text and what a model writes behind it meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.model.seam import SURE_CHARS, Diverged, Seam, given_of

LONG = "The first rule of a log is that it only grows. " * 4 + "The second is"


def joined(so_far: str, *pieces: str) -> str:
    """The text that readers have, if the model writes these pieces."""
    seam = Seam(so_far)
    return so_far + "".join(map(seam.take, pieces)) + seam.end()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two", "one two"),
        ("one two \n\n", "one two"),
        ("ok 👩\u200d", "ok"),  # half a family
        ("ok 👩\u200d👩\u200d", "ok"),
        ("ok 👩\u200d💻", "ok 👩\u200d💻"),
        ("ok ☁\ufe0f", "ok"),  # a variation selector: more may follow
        ("ok 👍\U0001f3fd", "ok"),
        ("ok \U0001f1e9", "ok"),  # half a flag
        ("ok \U0001f1e9\U0001f1ea", "ok \U0001f1e9\U0001f1ea"),
        ("caf" + "e\u0301", "caf"),
        (" \n", ""),
        ("\u0301", ""),
        ("", ""),
    ],
)
def test_a_model_is_shown_whole_characters_without_white_space_behind(
    text: str, shown: str
) -> None:
    assert given_of(text) == shown


def test_what_follows_is_joined_as_it_is() -> None:
    assert joined("one", " two", " three") == "one two three"


def test_white_space_that_was_cut_is_not_doubled_however_it_comes_again() -> None:
    assert joined("one\n\n", "\n", "\ntwo") == "one\n\ntwo"
    assert joined("one\n\n", "\n", "two") == "one\n\ntwo"
    assert joined("one ", "two") == "one two"
    assert joined("one ", " ", " two") == "one  two"


def test_a_character_that_was_cut_is_written_again_once() -> None:
    assert joined("ok 👩\u200d", " 👩\u200d💻") == "ok 👩\u200d💻"
    assert joined("ok \U0001f1e9", " \U0001f1e9\U0001f1ea!") == "ok \U0001f1e9\U0001f1ea!"


def test_a_model_that_repeats_the_beginning_is_not_doubled() -> None:
    assert joined(LONG, LONG, " that it is read") == LONG + " that it is read"
    assert joined(LONG, *(LONG + " done")) == LONG + " done"
    assert joined("  Hi", "Hi", " there") == "  Hi there"
    assert joined(LONG + "\n\n", LONG + "\n", "done") == LONG + "\n\ndone"


def test_a_text_may_say_its_beginning_again() -> None:
    again = LONG[: SURE_CHARS - 1]
    assert joined(LONG, again, "!", " more") == LONG + again + "! more"
    assert joined(LONG, again) == LONG + again


def test_another_answer_is_noticed_before_anything_of_it_is_told() -> None:
    seam = Seam(LONG)
    assert seam.take(LONG[:100]) == ""
    with pytest.raises(Diverged):
        seam.take("quite another")


def test_an_answer_that_ends_within_the_repetition_is_another_one() -> None:
    seam = Seam(LONG)
    assert seam.take(LONG[:100]) == ""
    with pytest.raises(Diverged):
        seam.end()


TEXTS = st.text(alphabet="ab \n👩\u200d💻\u0301\U0001f1e9", min_size=1, max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=8), st.data())
def test_the_truth_comes_out_wherever_it_was_cut(pieces: list[str], data: st.DataObject) -> None:
    """The model writes one text, whichever part of it it is shown: that is what readers have."""
    truth = "start: " + "".join(pieces)
    so_far = truth[: data.draw(st.integers(len("start: "), len(truth)))]
    rest = truth[len(given_of(so_far)) :]
    seam, size = Seam(so_far), data.draw(st.integers(1, 5))
    told = "".join(seam.take(rest[at : at + size]) for at in range(0, len(rest), size))
    assert so_far + told + seam.end() == truth


@given(st.lists(TEXTS, min_size=1, max_size=8), st.data())
def test_a_repetition_comes_out_once(pieces: list[str], data: st.DataObject) -> None:
    truth = "start: " + "".join(pieces)
    so_far = truth[: data.draw(st.integers(len("start: "), len(truth)))]
    seam, size = Seam(so_far), data.draw(st.integers(1, 5))
    told = "".join(seam.take(truth[at : at + size]) for at in range(0, len(truth), size))
    assert so_far + told + seam.end() == truth
