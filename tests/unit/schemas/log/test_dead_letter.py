"""Who writes a dead letter and who reads it mean the same."""

from hashlib import sha256

from deploy.operators.dead_letters.letter import LetterNumber, Stored, letters
from schemas.log.dead_letter import (
    OF_THE_LETTER,
    REASON_MAX_CHARS,
    VALUE_MAX_BYTES,
    DeadLetter,
    dead_letter,
    write_dead_letter,
)
from schemas.topics import (
    DEAD_LETTERS,
    HEADERS,
    MAX_RECORD_BYTES,
    SESSION_LOG,
    USER_MESSAGES,
    Headers,
)


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


def test_a_header_of_a_stranger_may_have_no_value() -> None:
    written = made(headers=[("theirs", None)])
    [read] = letters([Stored(LetterNumber(0, 1), 5, b"s1", b"", [("theirs", None)])])
    assert written.headers[0] == read.headers[0] == ("theirs", b"")


def test_the_letters_own_headers_are_known_by_name() -> None:
    large = b"x" * (VALUE_MAX_BYTES + 1)
    assert {name for name, _ in made(headers=(), value=large).headers} == OF_THE_LETTER


def test_a_letter_is_always_smaller_than_what_a_broker_takes() -> None:
    """A record near the limit had a letter above it: its partition stood still for ever."""
    value = b"\x00" * MAX_RECORD_BYTES
    long = [("n" * 5000, b"v" * 100_000)] * 500
    written = made(key=b"k" * 100_000, value=value, headers=long, reason="r" * 100_000)
    size = len(written.key or b"") + len(written.value)
    size += sum(len(name) + len(text) for name, text in written.headers)
    assert size < MAX_RECORD_BYTES // 4
    headers = dict(written.headers)
    assert headers["size"] == str(MAX_RECORD_BYTES).encode()
    assert headers["sha256"] == sha256(value).hexdigest().encode()
    assert value.startswith(written.value)


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
