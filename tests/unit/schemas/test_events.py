"""What a record may hold, and what a reader makes of one that it does not know."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import events
from schemas.events import Cancel, Chunk, Status, UndecodableEvent, UserMessage
from tests.unit.schemas.log_of import (
    alive,
    cancelling,
    chunk,
    complete,
    failed,
    queued,
    released,
    start,
)

HEAD: Any = {"session_id": "s", "message_id": "m1", "created_at": "2026-01-05T10:00:00.000Z"}


def raw(**fields: Any) -> bytes:
    return json.dumps(HEAD | fields).encode()


@pytest.mark.parametrize(
    "event",
    [
        queued(),
        start("a1", (1, 2, 3)),
        alive("a1"),
        cancelling("a1"),
        released("a1"),
        chunk("a1", 1, "héllo \N{WAVING HAND SIGN}"),
        complete("a1", 3),
        complete(None, finish_reason="cancelled"),
        failed("a1", "model_timeout", 2),
        failed(None, "busy"),
    ],
    ids=lambda event: getattr(event, "state", type(event).__name__),
)
def test_a_session_event_comes_back_as_it_was(event: events.SessionEvent) -> None:
    value = events.encode(event)
    assert value.startswith(b'{"type":')
    assert events.decode_session_event(value) == event


def test_a_user_event_comes_back_as_it_was() -> None:
    asked = UserMessage(**HEAD, content="hello", on_busy="interrupt", user="u1")
    assert events.decode_user_event(events.encode(asked)) == asked
    stopped = Cancel(**HEAD)
    assert events.decode_user_event(events.encode(stopped)) == stopped


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(content: str) -> None:
    decoded = events.decode_session_event(events.encode(chunk("a1", 1, content)))
    assert isinstance(decoded, Chunk)
    assert decoded.content == content


def test_unknown_fields_are_ignored() -> None:
    value = raw(type="ai_response_chunk", attempt="a1", sequence=1, content="x", later={"a": 1})
    assert events.decode_session_event(value) == Chunk(
        **HEAD, attempt="a1", sequence=1, content="x"
    )


def test_types_and_states_of_a_later_version_are_skipped() -> None:
    assert events.decode_session_event(raw(type="tool_call", name="x")) is None
    assert events.decode_session_event(raw(type="status", state="thinking", attempt=7)) is None
    assert events.decode_user_event(raw(type="edited")) is None


def test_words_of_a_later_version_are_read_as_they_are() -> None:
    ended = raw(type="ai_response_complete", attempt="a1", last_sequence=1, finish_reason="tired")
    complete = events.decode_session_event(ended)
    assert isinstance(complete, events.Complete)
    assert complete.finish_reason == "tired"
    broke = raw(type="error", attempt="a1", code="gone", message="it has gone", retryable=True)
    error = events.decode_session_event(broke)
    assert isinstance(error, events.Error)
    assert (error.code, error.message, error.retryable) == ("gone", "it has gone", True)
    asked = events.decode_user_event(raw(type="user_message", content="x", on_busy="merge"))
    assert isinstance(asked, UserMessage)
    assert asked.on_busy == "merge"
    stopping = raw(type="status", state="cancelling", attempt="a1", reason="budget")
    status = events.decode_session_event(stopping)
    assert isinstance(status, Status)
    assert status.reason == "budget"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"7",
        b"null",
        b"{}",
        raw(type=5),
        raw(type="status"),
        raw(type="status", state="queued"),
        raw(type="status", state="alive"),
        raw(type="status", state="cancelling"),
        raw(type="status", state="released"),
        raw(type="status", state="generating", attempt="a1"),
        raw(type="status", state="generating", attempt="a1", fence=[1, 1, 1]),
        raw(type="status", state="generating", attempt="a1", fence=[1, 1], prompt={}),
        raw(
            type="status",
            state="generating",
            attempt="a1",
            fence=[1, 1, 2**53],
            prompt={"content": "", "created_at": ""},
        ),
        raw(type="ai_response_chunk", attempt="a1", sequence=0, content="x"),
        raw(type="ai_response_chunk", attempt="a1", sequence=2**31, content="x"),
        raw(type="ai_response_chunk", attempt=None, sequence=1, content="x"),
        raw(type="ai_response_chunk", attempt="a1", sequence=1),
        raw(type="ai_reasoning_chunk", attempt="a1", sequence=0, content="x"),
        raw(type="ai_reasoning_chunk", attempt="a1", sequence=1),
        raw(type="ai_response_complete", attempt="a1", last_sequence=-1, finish_reason="stop"),
        raw(type="ai_response_complete", attempt="a1", last_sequence=1, finish_reason=""),
        raw(type="user_message", content="x"),
        b'{"type":"tool_call","x":"\\ud800"}',
    ],
)
def test_what_is_known_but_malformed_is_an_error(value: bytes | None) -> None:
    with pytest.raises(UndecodableEvent):
        events.decode_session_event(value)


@pytest.mark.parametrize(
    "value", [None, b"[1]", raw(type="user_message"), raw(type="ai_response_chunk")]
)
def test_a_malformed_user_event_is_an_error(value: bytes | None) -> None:
    with pytest.raises(UndecodableEvent):
        events.decode_user_event(value)


def test_json_deeper_than_the_stack_is_an_error_and_not_a_crash() -> None:
    deep = b'{"type":"cancel","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(UndecodableEvent):
        events.decode_user_event(deep)
    with pytest.raises(UndecodableEvent):
        events.decode_session_event(deep)


@pytest.mark.parametrize("session_id", ["", "a b", "é", "abc\n", "\nabc", "a/b", "a" * 256])
def test_a_session_id_is_of_its_letters_only(session_id: str) -> None:
    with pytest.raises(UndecodableEvent):
        events.decode_user_event(
            raw(type="cancel").replace(b'"s"', json.dumps(session_id).encode())
        )


@pytest.mark.parametrize("message_id", ["", "a.b", "m1\n", "m" * 65])
def test_a_message_id_is_of_its_letters_only(message_id: str) -> None:
    with pytest.raises(UndecodableEvent):
        events.decode_user_event(raw(type="cancel", message_id=message_id))


@given(st.binary())
def test_any_bytes_are_an_event_or_skipped_or_an_error(value: bytes) -> None:
    for decode in (events.decode_session_event, events.decode_user_event):
        try:
            decode(value)
        except UndecodableEvent:
            continue


def test_a_state_says_which_fields_it_must_have() -> None:
    with pytest.raises(ValueError, match="released without attempt"):
        Status(**HEAD, state="released")
