"""Text from a model, made harmless once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Chunk, encode
from workers.model.harmless import DETAIL_MAX_CHARS, harmless, harmless_detail

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_whatever_it_was_it_can_be_written_and_stored(text: str) -> None:
    clean = harmless(text)
    encode(
        Chunk(session_id="s", message_id="m", created_at="", attempt="a", sequence=1, content=clean)
    )
    assert "\0" not in clean
    assert harmless(clean) == clean


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_text_without_controls_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_each_character_alone_is_replaced_or_stays() -> None:
    replaced = {chr(code) for code in range(0x110000) if harmless(chr(code)) != chr(code)}
    controls = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - set("\t\n\r")
    assert replaced == controls | {chr(code) for code in range(0xD800, 0xE000)}


def test_breaks_and_pairs_of_surrogates_stay() -> None:
    assert harmless("a\tb\r\nc \ud83d\ude00") == "a\tb\r\nc \U0001f600"


@pytest.mark.parametrize(
    "key", ["sk-proj-abcdef123", "Bearer abcdef12345", "gsk_abcdef123456", "api key: abcdef123456"]
)
def test_no_key_gets_into_the_log(key: str) -> None:
    assert "abcdef" not in harmless_detail(f"Incorrect API key provided: {key}.")


@given(ANY_TEXT)
def test_a_detail_is_one_short_line(text: str) -> None:
    detail = harmless_detail(text)
    assert len(detail) <= DETAIL_MAX_CHARS
    assert len(detail.splitlines()) <= 1
