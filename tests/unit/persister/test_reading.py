"""Which records can be stored."""

import pytest

from persister.reading import BadRecord, read
from schemas.events import encode
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from tests.written import LogRecord, Say

SAY = Say("s1", "m1")
SHARD = shard_of("s1", 4)


def reason(topic: str, value: bytes | None, key: bytes | None = b"s1", shard: int = SHARD) -> str:
    with pytest.raises(BadRecord) as raised:
        read(topic, shard, 4, LogRecord(7, key, value))
    return str(raised.value)


def test_events_of_both_topics_are_read() -> None:
    for topic, event in ((USER_MESSAGES, SAY.said()), (SESSION_LOG, SAY.generating("a1"))):
        assert read(topic, SHARD, 4, LogRecord(0, b"s1", encode(event))) == event


def test_a_type_of_a_later_version_is_skipped() -> None:
    assert read(SESSION_LOG, SHARD, 4, LogRecord(0, b"s1", b'{"type": "new"}')) is None


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff", b'{"type": "status"}'])
def test_what_is_no_event_is_bad(value: bytes | None) -> None:
    assert reason(SESSION_LOG, value)


def test_a_record_that_lies_elsewhere_than_its_session_is_bad() -> None:
    value = encode(SAY.queued())
    assert reason(SESSION_LOG, value, key=b"s2") == "the key is not the session s1"
    assert reason(SESSION_LOG, value, key=None) == "the key is not the session s1"
    other = (SHARD + 1) % 4
    assert reason(SESSION_LOG, value, shard=other) == (f"session s1 does not live in shard {other}")


@pytest.mark.parametrize(
    "value",
    [
        encode(SAY.chunk("a1", 1, "a\0b")),
        encode(SAY.chunk("a\0", 1, "b")),
        encode(Say("s1", "m1", content="\0").queued()),
        encode(Say("s1", "m1", content="\0").complete(None, 0)),
        encode(SAY.failed("a1", "internal")).replace(b"it is", b"\\u0000"),
    ],
)
def test_nul_is_bad_because_postgres_cannot_store_it(value: bytes) -> None:
    assert "NUL" in reason(SESSION_LOG, value)


def test_nul_in_a_prompt_is_bad() -> None:
    assert "NUL" in reason(USER_MESSAGES, encode(SAY.said("\0")))


def test_a_text_that_only_spells_the_escape_of_nul_is_fine() -> None:
    event = SAY.chunk("a1", 1, "print('\\u0000')")
    assert read(SESSION_LOG, SHARD, 4, LogRecord(0, b"s1", encode(event))) == event


@pytest.mark.parametrize(
    "moment",
    ["", "now", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "20260101"],
)
def test_a_time_that_is_none_is_bad(moment: str) -> None:
    say = Say("s1", "m1", created_at=moment)
    assert "no time" in reason(SESSION_LOG, encode(say.chunk("a1", 1, "x")))
    assert "no time" in reason(SESSION_LOG, encode(say.queued()))
    good = encode(SAY.queued()).replace(b'why?","created_at":"2026', b'why?","created_at":"x026')
    assert "the prompt's created_at" in reason(SESSION_LOG, good)


def test_numbers_that_no_column_holds_are_bad() -> None:
    assert "sequence" in reason(SESSION_LOG, encode(SAY.chunk("a1", 2**31, "x")))
    assert "last_sequence" in reason(SESSION_LOG, encode(SAY.complete("a1", 2**31)))
    assert "fence" in reason(SESSION_LOG, encode(SAY.generating("a1", (1, 2**63, 1))))
    assert "position" in reason(SESSION_LOG, encode(SAY.queued(position=2**31)))
