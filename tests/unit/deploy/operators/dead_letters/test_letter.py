"""What a dead letter says, and which were redriven."""

import pytest

from deploy.operators.dead_letters.letter import (
    BadNumber,
    LetterNumber,
    Stored,
    letters,
    number_of,
)
from schemas.topics import HEADERS
from tests.unit.deploy.operators.dead_letters.shelf_of import SAID, letter, note, stored


def test_a_letter_says_from_where_and_why_and_keeps_the_originals_own_headers() -> None:
    [found] = letters([stored(17)])
    assert str(found.number) == "0.17"
    assert found.source == "user_messages.3.7"
    assert (found.reason, found.tries) == ("retries_exhausted", "3")
    assert found.headers == HEADERS
    assert found.event() == SAID
    assert found.redriven_as is None


def test_a_note_is_no_letter_and_tells_of_one() -> None:
    first, second = letters([stored(0), stored(1, source=(3, 8)), note(2, "0.0")])
    assert first.redriven_as == "user_messages.1.9 redriven-x"
    assert second.redriven_as is None


def test_the_first_note_counts() -> None:
    [found] = letters([stored(0), note(1, "0.0", "first"), note(2, "0.0", "second")])
    assert found.redriven_as == "first"


def test_what_was_redriven_by_one_letter_of_a_record_is_by_all() -> None:
    found = letters([stored(0, b"?", reason="no"), stored(1, b"?", reason="not"), note(2, "0.1")])
    assert [each.redriven_as is not None for each in found] == [True, True]


def test_a_message_that_exhausted_its_retries_is_not_the_record_that_was_not_stored() -> None:
    found = letters([stored(0), stored(1, reason="row refused"), note(2, "0.1")])
    assert [each.redriven_as is not None for each in found] == [False, True]


def test_records_without_headers_are_letters_of_their_own() -> None:
    bare = [Stored(LetterNumber(0, offset), 0, None, None, []) for offset in (0, 1)]
    found = letters([*bare, note(2, "0.0")])
    assert [each.redriven_as is not None for each in found] == [True, False]
    assert {each.reason for each in found} == {"?"}
    assert found[0].event() is None


def test_what_can_not_be_read_says_nothing() -> None:
    assert letter(b"\xff").event() is None
    assert letter(b"\xff", topic="ai_response_chunks").event() is None


def test_a_number_is_read_as_it_is_printed() -> None:
    assert number_of("0.17") == LetterNumber(0, 17)
    assert str(number_of("2.0")) == "2.0"


@pytest.mark.parametrize("text", ["", "17", ".", "0.", ".1", "0.x", "-1.2", "0.1.2", "0.²", "0.٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadNumber):
        number_of(text)
