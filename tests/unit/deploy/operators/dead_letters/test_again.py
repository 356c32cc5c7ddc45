"""What goes back for a dead letter, always with the same id."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.operators.dead_letters.again import Again, Refused, again, new_id
from schemas.events import (
    Cancel,
    UserMessage,
    decode_user_event,
    encode,
)
from schemas.topics import HEADERS, shard_of
from tests.unit.deploy.operators.dead_letters.shelf_of import SAID, letter
from tests.unit.schemas.log_of import chunk

NOW = "2026-02-02T00:00:00.000Z"


def put(value: bytes = encode(SAID), *, force: bool = False, **fields: object) -> Again:
    record = again(letter(value, **fields), 8, NOW, force=force)
    assert isinstance(record, Again), record
    return record


def why_not(value: bytes, *, force: bool = False, **fields: object) -> str:
    record = again(letter(value, **fields), 8, NOW, force=force)
    assert isinstance(record, Refused), record
    return record.why


def test_a_message_that_ended_goes_back_under_a_new_id_in_its_sessions_shard() -> None:
    record = put()
    assert (record.topic, record.shard, record.key) == ("user_messages", shard_of("s1", 8), b"s1")
    assert record.headers == HEADERS
    said = decode_user_event(record.value)
    assert isinstance(said, UserMessage)
    assert said.message_id == record.message_id == new_id("s1", "m1")
    assert (said.content, said.model, said.user) == (SAID.content, SAID.model, SAID.user)


def test_it_interrupts_nothing_and_stands_at_its_own_time() -> None:
    said = decode_user_event(put().value)
    assert isinstance(said, UserMessage)
    assert (said.on_busy, said.created_at) == ("enqueue", NOW)


def test_every_letter_of_a_message_gives_the_same_id_at_any_time() -> None:
    one = again(letter(source=(3, 7)), 8, NOW, force=False)
    other = again(letter(source=(3, 99)), 8, "2026-03-03T00:00:00.000Z", force=True)
    assert isinstance(one, Again)
    assert isinstance(other, Again)
    assert one.message_id == other.message_id


def test_a_second_life_that_fails_as_well_gives_a_third() -> None:
    second = put()
    third = put(second.value)
    assert third.message_id not in (second.message_id, SAID.message_id)


@given(
    st.from_regex(r"[A-Za-z0-9._:-]{1,255}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
)
def test_a_new_id_is_an_id_that_a_client_may_use(session_id: str, message_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", new_id(session_id, message_id))


def test_the_same_id_in_two_sessions_is_two_messages() -> None:
    assert new_id("s1", "m1") != new_id("s2", "m1")


@pytest.mark.parametrize(
    "event", [SAID, Cancel(session_id="s1", message_id="m1", created_at=NOW)], ids=["ask", "cancel"]
)
def test_what_never_ended_goes_back_as_it_was_to_where_its_session_lives(
    event: UserMessage | Cancel,
) -> None:
    wrong = (shard_of("s1", 8) + 1) % 8
    record = put(encode(event), source=(wrong, 5), reason="does not belong to shard")
    assert record.value == encode(event)
    assert (record.shard, record.message_id) == (shard_of("s1", 8), "m1")


def test_what_can_not_be_read_needs_force_and_goes_back_as_it_was() -> None:
    assert "--force" in why_not(b"\xff", reason="not an event")
    record = put(b"\xff", force=True, reason="not an event", key=b"\x00")
    assert (record.shard, record.key, record.value) == (3, b"\x00", b"\xff")
    assert record.message_id is None


def test_what_a_later_version_wrote_is_not_read_either() -> None:
    assert "--force" in why_not(b'{"type": "user_vote"}', reason="?")


def test_a_partition_that_is_not_there_is_refused() -> None:
    assert "partition" in why_not(b"\xff", force=True, source=(8, 0))


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_put_into_the_session_log_by_hand(force: bool) -> None:
    value = encode(chunk("a1", 1, "x"))
    assert "by hand" in why_not(value, force=force, topic="ai_response_chunks")
    assert "by hand" in why_not(b"\xff", force=force, topic="ai_response_chunks")


def test_another_topic_and_an_empty_message_are_refused() -> None:
    assert "topic" in why_not(encode(SAID), force=True, topic="orders")
    empty = UserMessage(session_id="s1", message_id="m1", created_at=NOW, content="")
    assert "content" in why_not(encode(empty), force=True, reason="no content")


def test_nothing_goes_back_of_a_session_that_was_forgotten_since() -> None:
    old = letter(source=(3, 7))
    refused = again(old, 8, NOW, force=True, forgotten={"s1": 8})
    assert refused == Refused("its session was forgotten after this was said")
    for forgotten in ({"s1": 7}, {"s2": 8}):
        assert isinstance(again(old, 8, NOW, force=False, forgotten=forgotten), Again)
