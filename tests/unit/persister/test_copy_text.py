"""Postgres reads each text as it was; its own reading is held in tests/integration/persister."""

import re

from hypothesis import given
from hypothesis import strategies as st

from persister.changes import ChunkRow
from persister.copy_text import ROWS_AT_ONCE, copy_text
from tests.written import Say

texts = st.text(st.sampled_from("\\\t\n\rtnrN.a é\u2028"), max_size=8)
READ = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


def rows_of(said: list[tuple[str, str, bool]]) -> list[ChunkRow]:
    say = Say("s1", "m1")
    return [
        (say.chunk(attempt, number, text), number + 7, is_complete)
        for number, (attempt, text, is_complete) in enumerate(said, start=1)
    ]


def as_read(column: str) -> str:
    """As the manual has it: a backslash and one of these letters is one character."""
    return re.sub(r"\\(.)", lambda found: READ[found[1]], column)


@given(st.lists(st.tuples(texts, texts, st.booleans())))
def test_each_row_is_a_line_of_eight_columns(said: list[tuple[str, str, bool]]) -> None:
    rows = rows_of(said)
    lines = b"".join(copy_text(rows)).decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows)
    for line, (chunk, number, is_complete) in zip(lines, rows, strict=True):
        session, sequence, content, ends, at, message, attempt, own = line.split("\t")
        assert (session, message, at) == (chunk.session_id, chunk.message_id, chunk.created_at)
        assert (int(sequence), int(own)) == (number, chunk.sequence)
        assert ends == ("t" if is_complete else "f")
        assert (as_read(content), as_read(attempt)) == (chunk.content, chunk.attempt)


def test_many_rows_come_some_at_a_time_and_none_is_left_out() -> None:
    rows = rows_of([("a", str(number), False) for number in range(2 * ROWS_AT_ONCE + 1)])
    pieces = list(copy_text(rows))
    assert [piece.count(b"\n") for piece in pieces] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert b"".join(pieces).split(b"\n")[-2].split(b"\t")[2] == str(2 * ROWS_AT_ONCE).encode()
