"""Who writes a dead letter and who reads it mean the same."""

from deploy.operators.dead_letters.letter import LetterNumber, Stored, letters
from schemas.log.dead_letter import (
    OF_THE_LETTER,
    REASON_MAX_CHARS,
    DeadLetter,
    dead_letter,
    write_dead_letter,
)
from schemas.topics import DEAD_LETTERS, HEADERS, SESSION_LOG, USER_MESSAGES, Headers


def made(**changed: object) -> DeadLetter:
    fields: dict[str, object] = {
        "key": b"s1",
        "value": b"\xff",
        "headers": HEADERS,
        "reason": "not an event",
        "tries": 1,
    }
    return dead_letter(USER_MESSAGES, 3, 7, **(fields | changed))  # type: ignore[arg-type]


def test_what_is_written_is_what_is_read() -> None:
    written = made(tries=3)
    [read] = letters([Stored(LetterNumber(0, 1), 5, written.key, written.value, written.headers)])
    assert (read.key, read.value) == (b"s1", b"\xff")
    assert read.source == "user_messages.3.7"
    assert (read.reason, read.tries) == ("not an event", "3")
    assert read.headers == HEADERS


def test_the_letters_own_headers_are_known_by_name() -> None:
    assert {name for name, _ in made(headers=()).headers} == OF_THE_LETTER


def test_a_header_of_the_record_with_a_name_of_the_letters_does_not_stand_for_it() -> None:
    written = made(headers=[("reason", b"forged"), ("topic", SESSION_LOG.encode())])
    [read] = letters([Stored(LetterNumber(0, 1), 5, written.key, written.value, written.headers)])
    assert (read.reason, read.topic) == ("not an event", USER_MESSAGES)


def test_a_reason_is_short_and_can_always_be_written() -> None:
    reason = dict(made(reason="\ud800" + "x" * 5000).headers)["reason"]
    assert len(reason) == REASON_MAX_CHARS
    assert reason.startswith(b"?x")


def test_a_record_without_key_and_value_has_a_letter_that_kafka_takes() -> None:
    assert (made(key=None, value=None).key, made(key=None, value=None).value) == (None, b"")


async def test_a_letter_goes_to_its_topic_as_it_was_made() -> None:
    sent: list[tuple[object, ...]] = []

    class Sender:
        async def send(
            self,
            topic: str,
            shard: int | None,
            key: bytes | None,
            value: bytes,
            headers: Headers | None = None,
        ) -> int:
            sent.append((topic, shard, key, value, headers))
            return 0

    written = made()
    await write_dead_letter(Sender(), written)
    assert sent == [(DEAD_LETTERS, None, written.key, written.value, written.headers)]
