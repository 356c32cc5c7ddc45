"""Which records can be stored."""

import pytest

from persister.reading import NO_TIME, BadRecord, read
from schemas.events import Cancel, Complete, Error, SessionEvent, UserMessage, encode
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


def stored(value: bytes) -> SessionEvent:
    event = read(SESSION_LOG, SHARD, 4, LogRecord(7, b"s1", value))
    assert event is not None
    assert not isinstance(event, UserMessage | Cancel)
    return event


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (encode(SAY.chunk("a1", 1, "a\0b")), SAY.chunk("a1", 1, "a\ufffdb")),
        (encode(SAY.thought("a1", 1, "a\0b")), SAY.thought("a1", 1, "a\ufffdb")),
        (encode(SAY.chunk("a\0", 1, "b")), SAY.chunk("a\ufffd", 1, "b")),
        (encode(Say("s1", "m1", content="\0").queued()), Say("s1", "m1", "\ufffd").queued()),
        (
            encode(Say("s1", "m1", content="\0").complete(None, 0)),
            Say("s1", "m1", content="\ufffd").complete(None, 0),
        ),
        (encode(SAY.complete("a\0", 1)), SAY.complete("a\ufffd", 1)),
    ],
)
def test_nul_is_replaced_because_postgres_cannot_store_it(value: bytes, kept: SessionEvent) -> None:
    assert stored(value) == kept


@pytest.mark.parametrize(
    "text", [b"\\u0000", b"\\ud83d", b"\xff\xfe"], ids=["nul", "lone", "bytes"]
)
def test_a_terminal_is_never_dropped_for_its_text(text: bytes) -> None:
    # The error of a model said so; the answer never ended in Postgres.
    value = encode(SAY.failed("a1", "internal"))
    event = stored(value.replace(b"it is", text))
    assert isinstance(event, Error)
    assert "\N{REPLACEMENT CHARACTER}" in event.message
    long = stored(value.replace(b'"internal"', b'"%b"' % (b"x" * 500)))
    assert isinstance(long, Error)
    assert long.code == "x" * 64


def test_a_terminal_without_a_time_ends_its_answer_all_the_same() -> None:
    event = stored(encode(Say("s1", "m1", created_at="now").complete(None, 0)))
    assert isinstance(event, Complete)
    assert event.created_at == NO_TIME
    assert event.prompt is None or event.prompt.created_at == NO_TIME


def test_nul_in_a_prompt_is_bad() -> None:
    assert "NUL" in reason(USER_MESSAGES, encode(SAY.said("\0")))


def test_nul_in_the_name_of_who_said_or_stopped_it_is_bad() -> None:
    for event in (Say("s1", "m1", user="a\0").said(), SAY.cancel("a\0")):
        assert "NUL" in reason(USER_MESSAGES, encode(event))


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
