"""A contiguous range of a shard: what it gives is exactly what was appended and not trimmed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.shard_log import PositionAhead, PositionGone, Record, ShardLog

SESSIONS = ["s1", "s2", "s3"]


def record(offset: int, session_id: str = "s1", at_ms: int = 0, size: int = 1) -> Record:
    return Record(offset, at_ms, session_id, b"x" * size)


def everything(log: ShardLog, position: int, limit: int | None = None) -> list[Record]:
    """What all sessions together are given."""
    given = [one for session_id in SESSIONS for one in log.read(session_id, position)]
    return sorted(given, key=lambda one: one.offset)[:limit]


def log_of(*records: Record, position: int = 0, max_bytes: int = 10_000) -> ShardLog:
    log = ShardLog(position, max_bytes=max_bytes, max_age_s=10)
    log.append(records)
    return log


def test_it_begins_empty_at_its_position() -> None:
    log = ShardLog(5)
    assert (log.start, log.end, log.bytes_in_memory) == (5, 5, 0)
    assert log.read("s1", 5) == everything(log, 5) == []


def test_a_session_is_given_its_own_records_from_its_position() -> None:
    log = log_of(record(0), record(1, "s2"), record(2), record(3, "s2"), record(4))
    assert [one.offset for one in log.read("s1", 1)] == [2, 4]
    assert [one.offset for one in log.read("s1", 0, limit=2)] == [0, 2]
    assert [one.offset for one in everything(log, 3)] == [3, 4]
    assert log.read("s3", 0) == []
    assert log.read("s1", 0, limit=0) == []


def test_a_hole_in_the_offsets_is_no_gap() -> None:
    log = log_of(record(0), record(7))
    assert (log.start, log.end) == (0, 8)
    assert [one.offset for one in log.read("s1", 3)] == [7]


def test_a_position_outside_is_told_apart() -> None:
    log = log_of(record(5), position=5)
    with pytest.raises(PositionGone):
        log.read("s1", 4)
    with pytest.raises(PositionAhead):
        log.read("s1", 7)
    assert log.read("s1", 6) == []


def test_an_offset_below_the_end_is_refused() -> None:
    log = log_of(record(5))
    with pytest.raises(ValueError, match="offset 5"):
        log.append([record(5)])


def test_the_oldest_leave_when_there_are_too_many_bytes() -> None:
    log = log_of(*(record(offset, size=800) for offset in range(5)), max_bytes=3000)
    assert (log.start, log.end, log.bytes_in_memory) == (2, 5, 3000)
    with pytest.raises(PositionGone):
        log.read("s1", 1)


def test_the_oldest_leave_by_the_age_of_the_records_themselves() -> None:
    log = log_of(record(0, at_ms=0), record(1, at_ms=5_000), record(2, at_ms=12_000))
    assert log.start == 1


def test_the_newest_record_stays_however_large_it_is() -> None:
    log = log_of(record(0), record(1, size=50_000), max_bytes=1000)
    assert (log.start, [one.offset for one in everything(log, 1)]) == (1, [1])


def test_a_seek_forgets_everything() -> None:
    log = log_of(record(0), record(1))
    log.seek(90)
    assert (log.start, log.end, log.bytes_in_memory) == (90, 90, 0)
    with pytest.raises(PositionGone):
        log.read("s1", 1)
    log.append([record(90)])
    assert [one.offset for one in log.read("s1", 90)] == [90]


sessions = st.sampled_from(SESSIONS)


class AgainstAList(RuleBasedStateMachine):
    """Whatever is appended, trimmed and sought: the same as a plain list that is searched."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ShardLog(0, max_bytes=3000, max_age_s=5)
        self.all: list[Record] = []
        self.at_ms = 0

    @rule(
        drawn=st.lists(
            st.tuples(sessions, st.integers(0, 3), st.integers(0, 2000), st.integers(0, 900)),
            max_size=6,
        )
    )
    def append(self, drawn: list[tuple[str, int, int, int]]) -> None:
        offset = self.log.end
        records = []
        for session_id, skip, later_ms, size in drawn:
            offset += skip
            self.at_ms += later_ms
            records.append(record(offset, session_id, self.at_ms, size))
            offset += 1
        self.log.append(records)
        self.all += records

    @rule(ahead=st.integers(-5, 50))
    def seek(self, ahead: int) -> None:
        position = max(0, self.log.end + ahead)
        self.log.seek(position)
        self.all = []

    @rule(session_id=sessions, back=st.integers(0, 30), limit=st.none() | st.integers(0, 5))
    def read(self, session_id: str, back: int, limit: int | None) -> None:
        position = self.log.end - back
        if position < self.log.start:
            with pytest.raises(PositionGone):
                self.log.read(session_id, position)
            return
        expected = [one for one in self.all if one.offset >= position]
        assert everything(self.log, position, limit) == expected[:limit]
        own = [one for one in expected if one.session_id == session_id]
        assert self.log.read(session_id, position, limit) == own[:limit]

    @invariant()
    def it_is_bounded_and_contiguous(self) -> None:
        kept = everything(self.log, self.log.start)
        assert kept == [one for one in self.all if one.offset >= self.log.start]
        assert self.log.bytes_in_memory == sum(len(one.value) + 200 for one in kept)
        assert self.log.bytes_in_memory <= 3000 or len(kept) == 1
        assert all(self.at_ms - one.timestamp_ms <= 5000 for one in kept)


TestAgainstAList = AgainstAList.TestCase


@given(st.integers(0, 100), st.integers(0, 100))
def test_positions_in_the_range_are_answered_and_no_others(position: int, asked: int) -> None:
    log = ShardLog(position)
    log.append([record(position + number) for number in range(10)])
    if position <= asked <= position + 10:
        assert len(log.read("s1", asked)) == position + 10 - asked
    else:
        with pytest.raises((PositionGone, PositionAhead)):
            log.read("s1", asked)
