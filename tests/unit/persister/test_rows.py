"""The fold as rows, story by story."""

from persister.rows import RowFold
from schemas.events import Event
from tests.unit.persister.folding import EPOCH, folded
from tests.unit.persister.tables import Row, Tables
from tests.written import Say

M1, M2 = Say("s1", "m1"), Say("s1", "m2", content="and?")


def numbers(tables: Tables) -> list[tuple[int, str, bool]]:
    """chunk_sequence, content, is_complete of all rows, in order."""
    return [
        (row["chunk_sequence"], row["content"], row["is_complete"])
        for _, row in sorted(tables.chunks.items())
    ]


def answer(tables: Tables, say: Say) -> Row:
    return tables.answers[say.session_id, say.message_id]


def test_a_conversation_is_its_pieces_in_order() -> None:
    events = [M1.said(), M1.queued(), *M1.answer(["a", "b"]), *M2.answer(["c"])]
    tables = folded(events)
    assert numbers(tables) == [(1, "a", False), (2, "b", True), (3, "c", True)]
    assert answer(tables, M1)["state"] == "complete"
    assert answer(tables, M1)["finish_reason"] == "stop"
    assert answer(tables, M1)["usage"]["completion_tokens"] == 2
    assert answer(tables, M1)["fence"] == [1, 1, 1]
    assert tables.prompts["s1", "m2"]["content"] == "and?"


def test_the_last_piece_is_marked_when_the_terminal_comes_later() -> None:
    tables = folded(M1.answer(["a", "b"]), [3, 1])
    assert numbers(tables) == [(1, "a", False), (2, "b", True)]


def test_an_answer_that_failed_keeps_its_pieces_and_is_not_complete() -> None:
    events = [M1.generating("a1"), M1.chunk("a1", 1, "a"), M1.failed("a1", "model_timeout", 1)]
    tables = folded(events)
    assert numbers(tables) == [(1, "a", False)]
    assert answer(tables, M1)["error_code"] == "model_timeout"


def test_an_answer_without_pieces_marks_nothing() -> None:
    before = M1.answer(["a"])
    tables = folded([*before, M2.generating("a2"), M2.complete("a2", 0)], [3])
    assert numbers(tables) == [(1, "a", True)]


def restarted() -> list[Event]:
    return [
        M1.generating("a1", (1, 1, 1)),
        M1.chunk("a1", 1, "x"),
        M2.generating("b1"),
        M2.chunk("b1", 1, "other"),
        M1.chunk("a1", 2, "y"),
        M1.generating("a2", (1, 2, 1)),
        M1.chunk("a2", 1, "new"),
        M1.complete("a2", 1),
    ]


def test_a_new_attempt_removes_the_old_pieces_and_the_numbers_go_on() -> None:
    expected = [(2, "other", False), (4, "new", True)]
    assert numbers(folded(restarted())) == expected
    for size in range(1, 8):
        assert numbers(folded(restarted(), [size] * 8)) == expected


def gone_on() -> list[Event]:
    return [
        M1.generating("a1", (1, 1, 1)),
        M1.chunk("a1", 1, "x"),
        M2.generating("b1"),
        M2.chunk("b1", 1, "other"),
        M1.chunk("a1", 2, "y"),
        M1.generating("a2", (1, 2, 1), continues="a1"),
        M1.alive("a2"),
        M1.chunk("a2", 1, "xy"),
        M1.chunk("a2", 2, "z"),
        M1.complete("a2", 2),
    ]


def test_the_pieces_of_a_continued_attempt_stand_until_the_first_chunk_repeats_them() -> None:
    kept = [(1, "x", False), (2, "other", False), (3, "y", False)]
    expected = [(2, "other", False), (4, "xy", False), (5, "z", True)]
    for size in range(1, 10):
        assert numbers(folded(gone_on()[:6], [size] * 10)) == kept
        assert numbers(folded(gone_on()[:7], [size] * 10)) == kept
        assert numbers(folded(gone_on(), [size] * 10)) == expected
        assert numbers(folded(gone_on(), [size] * 10, crashes=[True] * 9)) == expected


def test_an_answer_that_is_stopped_before_it_went_on_keeps_its_pieces() -> None:
    events = [*gone_on()[:6], M1.complete("a2", 0, "cancelled")]
    expected = [(1, "x", False), (2, "other", False), (3, "y", True)]
    for size in range(1, 8):
        assert numbers(folded(events, [size] * 10)) == expected


def test_reasoning_is_in_the_answers_row_and_in_no_piece() -> None:
    events = [
        M1.generating("a1"),
        M1.thought("a1", 1, "hm, "),
        M1.thought("a1", 2, "so"),
        M1.chunk("a1", 1, "Yes"),
        M1.thought("a1", 3, "?"),
        M1.complete("a1", 1, tool_calls_ignored=2),
    ]
    for size in range(1, 7):
        tables = folded(events, [size] * 6)
        assert numbers(tables) == [(1, "Yes", True)]
        row = answer(tables, M1)
        assert (row["reasoning"], row["last_reasoning_sequence"]) == ("hm, so?", 3)
        assert row["tool_calls_ignored"] == 2


def test_reasoning_begins_anew_with_each_attempt_and_goes_on_with_one_that_continues() -> None:
    events = [
        M1.generating("a1", (1, 1, 1)),
        M1.thought("a1", 1, "no"),
        M1.generating("a2", (1, 2, 1)),
        M1.thought("a2", 1, "hm"),
        M1.thought("a1", 2, "late"),
        M1.chunk("a2", 1, "Ye"),
        M1.generating("a3", (1, 3, 1), continues="a2"),
        M1.thought("a3", 1, " so"),
        M1.chunk("a3", 1, "Ye"),
    ]
    for size in range(1, 10):
        for crashes in ([], [True] * 9):
            tables = folded(events, [size] * 18, crashes=crashes)
            row = answer(tables, M1)
            assert (row["reasoning"], row["last_reasoning_sequence"]) == ("hm so", 1)


def test_what_is_added_to_the_reasoning_is_all_that_is_held() -> None:
    """Its rows are remembered by the ten thousand: 256 KiB in each of them would be gigabytes."""
    fold = RowFold(EPOCH, 10)
    events = [(0, at, M1.thought("a1", at, "x" * 1000)) for at in range(1, 50)]
    fold.restore([("s1", "m1")], [], {})
    changes = fold.fold([(0, 0, M1.generating("a1")), *events])
    assert [len(each.content) for each in changes.reasonings] == [49_000]
    [kept] = changes.answers
    assert kept.message.reasoning == ""
    changes = fold.fold([(0, 50, M1.thought("a1", 50, "y"))])
    assert [(each.anew, each.content) for each in changes.reasonings] == [(False, "y")]


def test_an_attempt_that_came_and_went_within_a_batch_still_uses_its_numbers() -> None:
    tables = folded([*restarted(), *Say("s1", "m3").answer(["z"])])
    assert numbers(tables)[-1] == (5, "z", True)


def test_a_zombie_is_not_written() -> None:
    events = [
        M1.generating("a1", (1, 2, 1)),
        M1.generating("a0", (1, 1, 1)),
        M1.chunk("a0", 1, "zombie"),
        M1.chunk("a1", 1, "a"),
        M1.complete("a0", 1),
        M1.complete("a1", 1),
    ]
    assert numbers(folded(events)) == [(1, "a", True)]


def test_a_late_start_of_a_finished_answer_does_not_overwrite_it() -> None:
    """Memory was thrown away and holds only running answers; the finished one looks new."""
    late = [M1.generating("a9", (9, 9, 9)), M1.chunk("a9", 1, "late"), M1.complete("a9", 1)]
    tables = folded([*M1.answer(["a"]), *late], [3, 1, 1, 1], crashes=[False, True])
    assert numbers(tables) == [(1, "a", True)]
    assert answer(tables, M1)["attempt"] == "a1"
    assert answer(tables, M1)["seen_offset"] == 5
    assert answer(tables, M1)["last_offset"] == 2


def test_released_keeps_the_text_until_the_next_start() -> None:
    events = [M1.generating("a1"), M1.chunk("a1", 1, "a"), M1.released("a1")]
    tables = folded(events)
    assert numbers(tables) == [(1, "a", False)]
    assert answer(tables, M1)["state"] == "queued"
    assert answer(tables, M1)["unended_starts"] == 0


def test_what_never_counted_leaves_no_row() -> None:
    tables = folded([M1.chunk("a1", 1, "a"), M1.alive("a1"), M1.complete("a1", 1)])
    assert not any(tables.dump().values())


def test_postgres_is_asked_once_about_a_message_of_which_nothing_counts() -> None:
    # A gateway's canary: every few seconds `alive` of another attempt that was never started.
    fold = RowFold(EPOCH, max_answers=10)
    asked = []
    for offset in range(4):
        event = M1.alive(f"a{offset}")
        keys, sessions = fold.unknown([event])
        asked.append((keys, sessions))
        fold.restore(keys, [], {})
        changes = fold.fold([(0, offset, event)])
        assert (changes.answers, changes.prompts, changes.chunks) == ([], [], [])
    assert asked == [({("s1", "m1")}, {"s1"}), *[(set(), set())] * 3]


def test_what_is_known_to_be_absent_is_bounded_as_answers_are() -> None:
    fold = RowFold(EPOCH, max_answers=2)
    for number in range(3):
        event = Say(f"s{number}", "m").alive("a")
        keys, _ = fold.unknown([event])
        fold.restore(keys, [], {})
        fold.fold([(0, number, event)])
    keys, _ = fold.unknown([Say(f"s{number}", "m").alive("a") for number in range(3)])
    assert keys == {("s0", "m")}


def test_a_damaged_answer_says_so() -> None:
    tables = folded([M1.generating("a1"), M1.chunk("a1", 2, "b"), M1.complete("a1", 2)])
    assert answer(tables, M1)["damaged"]
    assert numbers(tables) == [(1, "b", True)]


def test_a_piece_that_can_not_be_stored_as_it_is_leaves_no_hole() -> None:
    events = [M1.generating("a1"), *[M1.chunk("a1", n, t) for n, t in ((1, "\0"), (2, "b"))]]
    tables = folded(events)
    assert not answer(tables, M1)["damaged"]
    assert numbers(tables) == [(1, "\ufffd", False), (2, "b", False)]
