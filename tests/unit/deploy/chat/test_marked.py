"""Markdown on a terminal, as it comes."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from deploy.chat.marked import Marked

TEXT = """# A **heading**

Some **bold**, *italic*, `co*de`, ~~no~~ and \\*plain\\* words; snake_case, 2 * 3, **「重要」**な.
- one
- [x] done
  * two
1. first
> quoted
---
```py
x = **1**
```
the *end"""


def shown(text: str, *cuts: int) -> list[tuple[str, str]]:
    """The pieces, those of one style joined."""
    marked, told = Marked(), list[tuple[str, str]]()
    places = sorted({0, *(cut % (len(text) + 1) for cut in cuts), len(text)})
    for begin, end in pairwise(places):
        told += marked.more(text[begin:end])
    told += marked.end()
    joined: list[tuple[str, str]] = []
    for words, style in told:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + words, style)
        elif words:
            joined.append((words, style))
    return joined


def test_marks_become_what_they_mean() -> None:
    pieces = shown(TEXT)
    assert "".join(words for words, _ in pieces) == (
        "A heading\n\n"
        "Some bold, italic, co*de, no and *plain* words; snake_case, 2 * 3, 「重要」な."
        "\n• one\n☑ done\n  • two\n1. first\n▎ quoted\n" + "─" * 40 + "\npy\nx = **1**\n\nthe end"
    )
    styles = {words.strip(): style for words, style in pieces}
    assert styles["bold"] == "bold"
    assert styles["italic"] == "italic"
    assert styles["co*de"] == "cyan"
    assert styles["no"] == "strike"
    assert styles["「重要」"] == "bold"
    assert styles["heading"] == "bold underline bold"
    assert styles["x = **1**"] == "cyan"
    assert styles["end"] == "italic"


def test_what_can_be_said_already_is_not_held_back() -> None:
    marked = Marked()
    assert list(marked.more("Guten ")) == [("Guten ", "")]
    assert list(marked.more("Tag *")) == [("Tag ", "")]
    assert list(marked.more("*so")) == [("so", "bold")]
    assert list(marked.more("*")) == []
    assert list(marked.end()) == [("*", "bold")]


@given(st.lists(st.integers(0, len(TEXT)), max_size=40))
@example(list(range(len(TEXT))))
def test_the_pace_changes_nothing(cuts: list[int]) -> None:
    assert shown(TEXT, *cuts) == shown(TEXT)


@given(
    st.text(st.sampled_from("a *_`~\\#->[]x1.\n|é重"), max_size=60), st.lists(st.integers(0, 60))
)
def test_no_letter_is_lost_and_any_text_can_be_cut_anywhere(text: str, cuts: list[int]) -> None:
    pieces = shown(text, *cuts)
    assert pieces == shown(text)
    words = "".join(words for words, _ in pieces)
    assert [c for c in words if c in "aé重"] == [c for c in text if c in "aé重"]
