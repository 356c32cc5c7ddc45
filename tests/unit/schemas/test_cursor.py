"""A cursor is what a client keeps; it must come back as it was, or be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cursor import BadCursor, Cursor, parse

cursors = st.builds(
    Cursor, st.integers(0, 2**62), st.integers(0, 10**9 - 1), st.integers(-1, 2**62)
)


@given(cursors)
def test_what_is_given_can_be_read(cursor: Cursor) -> None:
    assert parse(str(cursor)) == cursor


def test_the_place_before_the_first_record_of_an_empty_shard() -> None:
    assert parse("1700000000.3.-1") == Cursor(1700000000, 3, -1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2",
        "1.2.3.4",
        "1.2.",
        ".2.3",
        "-1.2.3",
        "1.-2.3",
        "1.2.-2",
        "1.2.+3",
        "1.2.3\n",
        " 1.2.3",
        "1.2.3e5",
        "1.2.0x3",
        "1.2.\u0663",
        "1.2." + "9" * 20,
        "null",
    ],
)
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        parse(text)


@given(st.text())
def test_any_text_is_a_cursor_or_refused_in_few_words(text: str) -> None:
    try:
        cursor = parse(text)
    except BadCursor as error:
        said = str(error)
    else:
        said = str(cursor)
    assert len(said) < 500
