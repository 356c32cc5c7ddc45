"""A session that was forgotten: no row of it is left, and none comes back, in any order."""

from hypothesis import given
from hypothesis import strategies as st

from persister.rows import RowFold
from schemas.events import Event
from tests.unit.persister.folding import EPOCH, SHARDS, folded
from tests.unit.persister.tables import Tables
from tests.written import Say, log_of

BEFORE, AFTER = "said before", "said after"
# In user_messages m1 lies at 0, m2 at 1, and m3, which is said afterwards, at 2.
M1 = Say("s1", "m1", content=BEFORE, prompt_offset=0)
M2 = Say("s1", "m2", content=BEFORE, prompt_offset=1)
M3 = Say("s1", "m3", content=AFTER, prompt_offset=2)
OTHER = Say("s2", "o1", content="of another session", prompt_offset=0)

said: list[Event] = [M1.said(), M2.said(), M3.said(), M1.cancel(BEFORE), OTHER.said()]
earlier: list[Event] = [
    *M1.answer([BEFORE, BEFORE]),
    M2.generating("b1"),
    M2.thought("b1", 1, BEFORE),
    M2.chunk("b1", 1, BEFORE),
    *OTHER.answer(["kept"]),
]
erased = M1.forgotten(said_before=2)
later: list[Event] = [
    M2.chunk("b1", 2, BEFORE),
    M2.generating("b2", (9, 9, 9), continues="b1"),
    M2.chunk("b2", 1, BEFORE),
    M2.complete("b1", 2),
    *M3.answer([AFTER]),
    M1.queued(),
    M2.failed(None, "internal"),
]
log = [*said, *earlier, erased, *later]


def left(tables: Tables) -> str:
    return repr([tables.chunks, tables.answers, tables.prompts])


sizes = st.lists(st.integers(1, 6))


@given(sizes, st.lists(st.booleans(), max_size=4), st.integers(1, 3), st.booleans())
def test_nothing_of_before_is_left_whatever_the_batches(
    batches: list[int], crashes: list[bool], remembered: int, answers_first: bool
) -> None:
    # Each topic has its own order, and either may be read long before the other.
    order = [*earlier, erased, *later, *said] if answers_first else log
    tables = folded(order, batches, crashes=crashes, max_answers=remembered)
    assert BEFORE not in left(tables)
    assert tables.answers.keys() == tables.prompts.keys() == {("s1", "m3"), ("s2", "o1")}
    assert tables.text("s1", "m3") == AFTER
    assert tables.text("s2", "o1") == "kept"
    assert tables.dump() == folded(log).dump()


@given(sizes)
def test_the_log_read_again_from_its_start_changes_nothing(batches: list[int]) -> None:
    tables = folded(log)
    before = repr(tables.dump())
    folded(log, batches, tables=tables)
    assert repr(tables.dump()) == before


def test_what_is_said_afterwards_is_numbered_from_one_as_a_rebuild_gives_it() -> None:
    assert [number for session, number in folded(log).chunks if session == "s1"] == [1]


def test_one_row_says_up_to_where_and_nothing_of_what_was_said() -> None:
    [row] = folded(log).forgotten.values()
    assert (row["session_id"], row["said_before"], row["said_epoch"]) == ("s1", 2, EPOCH)
    assert BEFORE not in repr(row)


def test_forgotten_sessions_are_remembered_within_the_bound() -> None:
    fold = RowFold(EPOCH, max_answers=2)
    tables = Tables()
    for number in range(10):
        event = Say(f"f{number}", "m").forgotten(0)
        keys, sessions = fold.unknown([event])
        fold.restore(keys, *tables.lookup(keys, sessions))
        fold.fold([(0, number, event)])
    assert len(fold._sessions) <= 2


def test_the_log_of_these_tests_is_one_shard() -> None:
    assert len({p.shard for p, held in log_of(log, SHARDS).records.items() if held}) <= 2
