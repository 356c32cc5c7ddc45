"""Rows as the text that `COPY ... FROM STDIN` reads; what it is made of is in Postgres' manual.

A column is as it is but for these four characters; one row a line. The ids have a pattern and the
time is one, so of a row only what writers choose is looked at: text and attempt.
"""

import re
from collections.abc import Iterator, Sequence

from persister.changes import ChunkRow
from schemas.events import Chunk

ROWS_AT_ONCE = 500
"""So many are one text: few enough for memory, and Postgres works on them while more are made."""

_ESCAPED = {ord("\\"): r"\\", ord("\n"): r"\n", ord("\r"): r"\r", ord("\t"): r"\t"}
_to_escape = re.compile(r"[\\\n\r\t]").search


def copy_text(rows: Sequence[ChunkRow]) -> Iterator[bytes]:
    """Give the rows, some at a time, in the order of the columns of `add_chunks`."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield "".join([_line(*row) for row in rows[start : start + ROWS_AT_ONCE]]).encode()


def _line(chunk: Chunk, number: int, is_complete: bool) -> str:
    content, attempt = chunk.content, chunk.attempt
    if _to_escape(content):
        content = content.translate(_ESCAPED)
    if _to_escape(attempt):
        attempt = attempt.translate(_ESCAPED)
    return (
        f"{chunk.session_id}\t{number}\t{content}\t{'t' if is_complete else 'f'}\t"
        f"{chunk.created_at}\t{chunk.message_id}\t{attempt}\t{chunk.sequence}\n"
    )
