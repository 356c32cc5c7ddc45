"""Acknowledged in order only, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.transcript import Message
from workers.intake.ack_window import (
    AckWindow,
    DeliveredTwice,
    Gap,
    Remembering,
    may_be_acknowledged,
)


def window(*offsets: int, max_records: int = 100, max_bytes: int = 10_000) -> AckWindow:
    made = AckWindow(max_records=max_records, max_bytes=max_bytes)
    for offset in offsets:
        made.add(offset, offset * 1000, 100)
    return made


def test_a_finished_record_waits_for_those_before_it() -> None:
    held = window(5, 6, 7)
    assert list(held.done(6)) == []
    assert held.oldest_ms == 5000
    assert list(held.done(5)) == [5, 6]
    assert held.oldest_ms == 7000
    assert list(held.done(7)) == [7]
    assert held.oldest_ms is None


@given(st.permutations(range(20)))
def test_whatever_the_order_all_are_given_once_and_ascending(order: list[int]) -> None:
    held = window(*range(20))
    given_out: list[int] = []
    finished: set[int] = set()
    for offset in order:
        finished.add(offset)
        given_out += held.done(offset)
        assert set(given_out) <= finished
    assert given_out == list(range(20))


def test_nothing_behind_a_gap_is_acknowledged_before_it_was_looked_into() -> None:
    """One foreign transaction's marker took an offset, and ended every worker for good."""
    held = window(5, 6)
    assert held.add(8, 0, 1) == Gap(7, 8)
    assert list(held.done(5)) == [5]
    assert list(held.done(6)) == [6]
    assert list(held.done(8)) == []
    assert list(held.empty(Gap(7, 8))) == [8]
    assert held.add(9, 0, 1) is None


def test_delivery_may_begin_behind_a_gap() -> None:
    held = window()
    assert held.add(8, 0, 1, begins=5) == Gap(5, 8)
    assert list(held.done(8)) == []
    assert list(held.empty(Gap(5, 8))) == [8]


def test_what_was_said_of_another_gap_counts_for_nothing() -> None:
    held = window(5)
    held.add(9, 0, 1)
    held.clear()
    held.add(6, 0, 1)  # it was there after all, and has come now
    held.add(7, 0, 1)
    assert list(held.empty(Gap(6, 9))) == []
    assert list(held.done(6)) == [6]


def test_a_lower_offset_is_an_error_and_a_redelivery_is_none() -> None:
    held = window(5, 6)
    with pytest.raises(DeliveredTwice):
        held.add(6, 0, 1)
    held.clear()
    held.add(5, 0, 1)
    assert len(held) == 1


def test_what_is_not_held_is_done_already() -> None:
    held = window(5)
    assert list(held.done(4)) == []


def test_full_by_records_and_by_bytes_and_roomy_again_later() -> None:
    held = window(*range(10), max_records=10)
    assert held.full
    assert not held.roomy
    assert list(held.done(0)) == [0]
    assert not held.full
    assert not held.roomy
    assert list(held.done(1)) == [1]
    assert held.roomy
    assert window(1, 2, max_bytes=200).full


ENDED, RUNNING = Message("m", state="complete"), Message("m", state="generating")
NEEDED, STORED = Remembering.NEEDED, Remembering.STORED


@pytest.mark.parametrize(
    ("view", "over_elsewhere", "remembering", "allowed"),
    [
        (None, True, NEEDED, True),
        (ENDED, False, Remembering.NOT_NEEDED, True),
        (ENDED, False, STORED, True),
        (ENDED, False, Remembering.GIVEN_UP, True),
        (ENDED, False, NEEDED, False),
        (RUNNING, False, STORED, False),
        (RUNNING, False, Remembering.NOT_NEEDED, False),
        (None, False, STORED, False),
    ],
)
def test_a_message_is_acknowledged_when_its_end_is_read_back_and_remembered(
    view: Message | None, over_elsewhere: bool, remembering: Remembering, allowed: bool
) -> None:
    asked = may_be_acknowledged(view, over_elsewhere=over_elsewhere, remembering=remembering)
    assert asked is allowed
