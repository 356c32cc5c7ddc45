"""Each rule broken once, each found once, at its place; where none is broken, none is found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.operators.tooling.since import BadSince, since_ms
from deploy.operators.verify.faults import LISTED_MAX, Fault, Kind, Report
from deploy.operators.verify.row_check import RowCheck, Stored, gather
from deploy.operators.verify.shard_check import ShardCheck
from persister.batch import Partition
from persister.reading import LogRecord
from schemas.cursor import Cursor
from schemas.events import Event
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.unit.persister.folding import EPOCH, folded
from tests.unit.persister.random_log import events as logs
from tests.unit.persister.tables import Row, Tables
from tests.written import Say, log_of

MINUTE_MS = 60_000
M1, M2 = Say("s1", "m1"), Say("s1", "m2")


@dataclass
class Case:
    """One shard, verified; a record's log-append time is its offset in seconds."""

    events: Sequence[Event]
    tables: Tables | None = None
    committed: int | None = None
    now_ms: int = 30 * MINUTE_MS
    whole: bool = True
    start: int = 0
    gaps: bool = False
    removed_before: bool = False
    user_position: int = 10**9

    def report(self) -> Report:
        report = Report()
        log = log_of(self.events, shards=1)
        check = ShardCheck(
            report,
            epoch=EPOCH,
            shard=0,
            shards=1,
            whole=self.whole,
            since_ms=0 if self.whole else self.start * 1000,
        )
        check.take_user_messages(_timed(log.records.get(Partition(USER_MESSAGES, 0), [])))
        told = log.records.get(Partition(SESSION_LOG, 0), [])
        check.take_session_log(_timed(told[self.start :]))
        if self.tables is not None:
            self._compare(report, check, self.tables)
        check.end(now_ms=self.now_ms, patience_ms=15 * MINUTE_MS, committed=self.committed)
        return report

    def _compare(self, report: Report, check: ShardCheck, tables: Tables) -> None:
        rows = RowCheck(
            report,
            check,
            epoch=EPOCH,
            shard=0,
            gaps=self.gaps,
            user_position=self.user_position,
            removed_before=self.removed_before,
        )
        pieces = gather(
            (
                row["session_id"],
                row["message_id"],
                row["chunk_sequence"],
                row["attempt"],
                row["sequence"],
                row["content"],
                row["is_complete"],
            )
            for _, row in sorted(tables.chunks.items())
        )
        prompts = {key: _as_read(row) for key, row in tables.prompts.items()}
        rows.sessions(list(check.sessions), Stored(tables.answers, prompts, pieces))
        rows.invented_answers(
            (*key, row["last_offset"])
            for key, row in tables.answers.items()
            if row["first_offset"] >= self.start
        )
        rows.invented_prompts(
            (*key, row["log_offset"])
            for key, row in tables.prompts.items()
            if row["log_offset"] is not None
        )


def _as_read(prompt: Row) -> Row:
    """As psycopg gives it."""
    at = prompt["cancelled_at"]
    return prompt | {"cancelled_at": at and datetime.fromisoformat(at)}


def _timed(records: Iterable[LogRecord]) -> list[tuple[LogRecord, int]]:
    return [(record, record.offset * 1000) for record in records]


def faults(case: Case) -> list[tuple[Kind, int]]:
    return [(fault.kind, fault.cursor.offset) for fault in case.report().listed]


def stored(events: Sequence[Event]) -> Tables:
    return folded(events, shards=1)


CLEAN: list[Event] = [
    M1.said(),
    M1.queued(),
    M1.generating("a1", (1, 1, 1)),
    M1.chunk("a1", 1, "x"),
    M1.generating("a2", (1, 2, 1)),
    M1.chunk("a1", 2, "fenced"),
    *[M1.chunk("a2", n, text) for n, text in ((1, "a"), (1, "a"), (2, "b"))],
    M1.complete("a2", 2),
    M1.generating("a3", (1, 3, 1)),
    M1.chunk("a3", 1, "late"),
    M2.said(),
    M2.said(),
    M2.cancel("eve"),
    M2.cancel("bob", "2026-01-02T03:05:00.000Z"),
    *M2.answer(["c"]),
]


def test_a_log_as_it_may_be_breaks_no_rule_and_what_is_allowed_is_counted() -> None:
    report = Case(CLEAN, stored(CLEAN), committed=3).report()
    assert report.clean
    assert report.counted == {
        "messages sent again": 1,
        "cancels": 2,
        "events of fenced attempts": 1,
        "repeats": 1,
        "events after a terminal": 2,
    }


def test_a_gateways_canary_breaks_no_rule_and_is_counted() -> None:
    canary = Say("talklog-canary-1", "canary")
    events = [canary.alive("a"), M1.said(), *M1.answer(["x"]), canary.alive("b")]
    found = Case(events, tables=folded(events, shards=1)).report()
    assert found.clean
    assert found.counted == {"events of the gateways' canaries": 2}


def test_a_hole_is_found_where_it_is_seen() -> None:
    jump = [M1.said(), M1.generating("a1"), M1.chunk("a1", 2, "b"), M1.complete("a1", 2)]
    assert faults(Case(jump, stored(jump))) == [(Kind.hole, 1)]
    cut = [M1.said(), M1.generating("a1"), M1.chunk("a1", 1, "a"), M1.complete("a1", 2)]
    assert faults(Case(cut, stored(cut))) == [(Kind.hole, 2)]


def test_an_accepted_message_without_an_end_is_found_when_it_is_old_enough() -> None:
    for events in ([M1.said()], [M1.said(), M1.generating("a1"), M1.complete("a0", 0)]):
        assert faults(Case(events, stored(events))) == [(Kind.unended, 0)]
        assert faults(Case(events, stored(events), now_ms=15 * MINUTE_MS)) == []


def test_an_answer_that_nobody_asked_for_must_end_too() -> None:
    assert faults(Case([M1.queued()])) == [(Kind.unended, 0)]


GOES_ON: list[Event] = [
    M1.said(),
    M1.generating("a1", (1, 1, 1)),
    M1.chunk("a1", 1, "a"),
    M1.chunk("a1", 2, "b"),
    M1.generating("a2", (1, 2, 1), continues="a1"),
    M1.chunk("a1", 3, "fenced"),
    M1.chunk("a2", 1, "ab"),
    M1.generating("a3", (1, 3, 1), continues="a2"),
    M1.chunk("a3", 1, "ab"),
    M1.chunk("a3", 2, "c"),
    M1.complete("a3", 2),
]


def test_an_answer_that_goes_on_breaks_no_rule_wherever_it_is_cut() -> None:
    for count in range(1, len(GOES_ON) + 1):
        events = GOES_ON[:count]
        found = Case(events, stored(events)).report().found
        assert set(found) <= {Kind.unended}, events[-1]


@pytest.mark.parametrize("content", ["a", "abc", "ax", ""])
def test_a_first_chunk_that_is_not_the_text_so_far_is_found(content: str) -> None:
    events = [*GOES_ON[:6], M1.chunk("a2", 1, content), M1.complete("a2", 1)]
    assert faults(Case(events, stored(events))) == [(Kind.text_broken, 5)]


@pytest.mark.parametrize(
    ("events", "at"),
    [
        ([M1.chunk("a1", 1, "x")], 0),
        ([M1.queued(), M1.chunk("a1", 1, "x"), *M1.answer(["a"])], 1),
        ([*M1.answer(["a"]), M1.chunk("a9", 1, "x")], 3),
        ([M1.thought("a1", 1, "x")], 0),
        ([*M1.answer(["a"]), M1.thought("a9", 1, "x")], 3),
    ],
)
def test_a_chunk_of_an_attempt_that_never_started_is_found(events: list[Event], at: int) -> None:
    assert faults(Case(events)) == [(Kind.chunk_before_start, at)]


def test_a_commit_that_passed_an_unfinished_message_is_found() -> None:
    events = [M1.said(), *M1.answer(["a"]), M2.said(), M2.generating("b1")]
    assert faults(Case(events, committed=1, now_ms=0)) == []
    assert faults(Case(events, committed=2, now_ms=0)) == [(Kind.passed, 1)]


def _set(table: str, **values: object) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        rows: dict[Any, Any] = getattr(tables, table)
        rows[sorted(rows)[-1]].update(values)

    return change


def _drop(table: str) -> Callable[[Tables], None]:
    def change(tables: Tables) -> None:
        rows: dict[Any, Any] = getattr(tables, table)
        del rows[sorted(rows)[-1]]

    return change


def _invent_answer(tables: Tables) -> None:
    tables.answers["s1", "m9"] = tables.answers["s1", "m1"] | {"message_id": "m9"}


def _invent_prompt(tables: Tables) -> None:
    tables.prompts["s1", "m9"] = tables.prompts["s1", "m1"] | {"message_id": "m9"}


def _double(tables: Tables) -> None:
    row = tables.chunks["s1", max(number for _, number in tables.chunks)]
    tables.chunks["s1", 99] = row | {"chunk_sequence": 99}


def _renumber(tables: Tables) -> None:
    number = max(number for _, number in tables.chunks)
    tables.chunks["s1", 99] = tables.chunks.pop(("s1", number)) | {"chunk_sequence": 99}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_set("chunks", content="forged"), Kind.row_differs),
        (_set("chunks", sequence=7), Kind.row_differs),
        (_set("chunks", attempt="a0"), Kind.row_differs),
        (_set("chunks", is_complete=False), Kind.row_differs),
        (_drop("chunks"), Kind.row_missing),
        (_double, Kind.row_invented),
        (_renumber, Kind.row_differs),
        (_set("answers", state="error"), Kind.row_differs),
        (_set("answers", reasoning="forged"), Kind.row_differs),
        (_set("answers", last_reasoning_sequence=9), Kind.row_differs),
        (_set("answers", state="generating", error_code="lost"), Kind.row_differs),
        (_set("answers", attempt="a0"), Kind.row_differs),
        (_set("answers", fence=[1, 1, 2]), Kind.row_differs),
        (_set("answers", starts=9), Kind.row_differs),
        (_set("answers", last_sequence=9), Kind.row_differs),
        (_set("answers", finish_reason="length"), Kind.row_differs),
        (_set("answers", damaged=True), Kind.row_differs),
        (_set("answers", last_offset=1), Kind.row_differs),
        (_drop("answers"), Kind.row_missing),
        (_invent_answer, Kind.row_invented),
        (_set("prompts", content="forged"), Kind.row_differs),
        (_set("prompts", user_id="eve"), Kind.row_differs),
        (_set("prompts", user_id=None), Kind.row_differs),
        (_set("prompts", cancelled_by="bob"), Kind.row_differs),
        (_set("prompts", cancelled_by=None), Kind.row_differs),
        (_set("prompts", cancelled_at="2026-01-02T03:05:00.000Z"), Kind.row_differs),
        (_set("prompts", log_offset=0), Kind.row_differs),
        (_set("prompts", epoch=None, log_offset=None), Kind.row_differs),
        (_drop("prompts"), Kind.row_missing),
        (_invent_prompt, Kind.row_invented),
    ],
)
def test_a_row_that_is_not_the_fold_is_found(change: Callable[[Tables], None], kind: Kind) -> None:
    tables = stored(CLEAN)
    change(tables)
    assert [found for found, _ in faults(Case(CLEAN, tables))] == [kind]


def test_who_is_said_to_have_cancelled_what_nobody_has_is_found() -> None:
    tables = stored(CLEAN)
    tables.prompts["s1", "m1"] |= {"cancelled_by": "eve", "cancelled_at": M1.created_at}
    assert faults(Case(CLEAN, tables)) == [(Kind.row_differs, 0)]


def test_a_cancel_that_is_not_stored_yet_is_not_looked_for() -> None:
    events = [M1.said(), M2.said(), M1.said(), M2.cancel("eve")]
    tables = stored(events[:3])
    case = Case(events, tables, user_position=3, now_ms=0)
    assert faults(case) == []
    assert case.report().counted == {"messages sent again": 1, "cancels": 1}
    tables.prompts["s1", "m2"] |= {"cancelled_by": "eve", "cancelled_at": M2.created_at}
    assert faults(case) == [(Kind.row_differs, 1)]


def test_who_cancelled_is_no_fault_where_a_persister_of_before_has_stored_it() -> None:
    """It knew no such columns; `talklog rebuild` fills them in."""
    tables = stored(CLEAN)
    tables.prompts["s1", "m2"] |= {"cancelled_by": None, "cancelled_at": None}
    report = Case(CLEAN, tables).report()
    assert report.clean
    assert report.counted["cancels of which the rows do not say by whom"] == 1


def _count_on(tables: Tables) -> None:
    """The session had seven chunks in an earlier log: those of this one come after them."""
    moved = {
        (session_id, number + 7): row | {"chunk_sequence": number + 7}
        for (session_id, number), row in tables.chunks.items()
    }
    tables.chunks.clear()
    tables.chunks.update(moved)


def test_a_session_of_an_earlier_log_counts_on_and_that_is_no_fault() -> None:
    tables = stored(CLEAN)
    _count_on(tables)
    assert {kind for kind, _ in faults(Case(CLEAN, tables))} == {Kind.row_differs}
    assert faults(Case(CLEAN, tables, removed_before=True)) == []
    earlier = {"message_id": "m0", "first_epoch": EPOCH - 1, "epoch": EPOCH - 1}
    tables.answers["s1", "m0"] = tables.answers["s1", "m1"] | earlier
    report = Case(CLEAN, tables).report()
    assert [fault for fault in report.listed if fault.message_id != "m0"] == []


def test_damage_that_a_gap_explains_is_called_so() -> None:
    tables = stored(CLEAN)
    tables.answers["s1", "m2"]["damaged"] = True
    [fault] = Case(CLEAN, tables, gaps=True).report().listed
    assert fault.kind is Kind.damage


@given(st.integers(0, 12))
def test_what_began_before_the_reading_is_not_judged(start: int) -> None:
    tables = stored(CLEAN)
    assert faults(Case(CLEAN, tables, whole=False, start=start)) == []


def test_what_was_accepted_after_the_first_record_is_judged_also_in_a_part() -> None:
    late = [
        *[M1.said()] * 8,
        *M1.answer(["a"]),
        M2.said(),
        M2.generating("b1"),
        M2.chunk("b1", 2, "hole"),
    ]
    tables = stored(late)
    found = faults(Case(late, tables, whole=False, start=2))
    assert (Kind.hole, 4) in found
    assert (Kind.unended, 8) in found


@given(logs)
@settings(max_examples=60)
def test_rows_that_are_the_fold_are_never_reported(events: list[Event]) -> None:
    """Whatever nonsense is written, the rows are not to blame."""
    report = Case(events, stored(events)).report()
    rows = {Kind.row_differs, Kind.row_missing, Kind.row_invented, Kind.damage}
    assert not rows & set(report.found)


@given(logs, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_any_change_of_a_piece_is_found(events: list[Event], chance: Any) -> None:
    tables = stored(events)
    if not tables.chunks:
        return
    place = chance.choice(sorted(tables.chunks))
    if chance.random() < 0.5:
        del tables.chunks[place]
    else:
        tables.chunks[place]["content"] += "!"
    rows = {Kind.row_differs, Kind.row_missing}
    assert rows & set(Case(events, tables).report().found)


def test_a_report_counts_all_and_lists_some() -> None:
    report = Report()
    for offset in range(LISTED_MAX + 5):
        report.add(Fault(Kind.hole, Cursor(1, 2, offset), "s1", "m1", ""))
    assert report.found[Kind.hole] == LISTED_MAX + 5
    assert len(report.listed) == LISTED_MAX
    assert str(report.listed[0]) == (
        "hole at 1.2.0 session s1 message m1: an answer lacks a chunk: its sequence jumps"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 10_000_000 - 90_000),
        ("2h", 10_000_000 - 7_200_000),
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T01:00:01+01:00", 1000),
    ],
)
def test_since_is_a_duration_or_a_moment(text: str, expected: int) -> None:
    assert since_ms(text, 10_000_000) == expected


def test_any_other_since_is_refused() -> None:
    with pytest.raises(BadSince):
        since_ms("yesterday", 0)


FORGETTING: list[Event] = [
    M1.said(),
    *M1.answer(["a"]),
    M2.said(),
    M2.generating("b1"),
    M1.forgotten(said_before=2),
    M2.chunk("b1", 1, "late"),
    M2.complete("b1", 1),
]
AFTERWARDS = Say(M1.session_id, "afterwards", prompt_offset=2)


def test_what_was_forgotten_is_neither_missed_nor_unended() -> None:
    events = [*FORGETTING, AFTERWARDS.said(), *AFTERWARDS.answer(["new"])]
    case = Case(events, tables=stored(events), committed=3, now_ms=100 * MINUTE_MS)
    assert faults(case) == []
    assert case.report().counted["sessions forgotten"] == 1


def test_an_id_that_is_used_again_after_its_session_was_forgotten_is_a_new_message() -> None:
    before = [M1.said(), *M1.answer(["old"]), M1.cancel("eve"), M1.forgotten(said_before=2)]
    again = Say(M1.session_id, M1.message_id, prompt_offset=2)
    events = [*before, again.said(), *again.answer(["new"]), again.cancel("bob")]
    tables, alone = stored(events), stored([again.said(), again.cancel("bob")])
    # Stored when its session had been forgotten: the row of before was gone.
    [row] = alone.prompts.values()
    tables.prompts = {(M1.session_id, M1.message_id): row | {"log_offset": 2, "seen_offset": 3}}
    assert faults(Case(events, tables=tables)) == []


@pytest.mark.parametrize("table", ["answers", "prompts", "chunks"])
def test_a_row_of_what_was_forgotten_is_a_fault(table: str) -> None:
    tables, before = stored(FORGETTING), stored(FORGETTING[:4])
    getattr(tables, table).update(getattr(before, table))
    kinds = {kind for kind, _ in faults(Case(FORGETTING, tables=tables))}
    assert Kind.row_forgotten in kinds
