"""A persister of before a migration goes on in the tables of after, beside one that knows it."""

from typing import Any

import psycopg
import pytest

from persister.changes import CancelRow, PromptRow
from schemas.statements import json_of, statements
from tests.integration.persister.conftest import Database

pytestmark = pytest.mark.stack

BEFORE = statements("tests.integration.persister", "before_0011.sql")
AFTER = statements("persister", "queries.sql")
SAID_AT, STOPPED_AT = "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:06+00:00"
NEW = ("cancelled_by", "cancelled_at")


def said(offset: int) -> dict[str, Any]:
    row = PromptRow("s1", "m1", "why?", "ada", SAID_AT, 0, 7, 3, 7, offset)
    return row._asdict()


def stopped(offset: int, by: str) -> dict[str, Any]:
    return CancelRow("s1", "m1", by, STOPPED_AT, 7, offset)._asdict()


def as_before(row: dict[str, Any]) -> dict[str, Any]:
    """As the persister of before gives its statements their rows."""
    places = {"epoch": row["seen_epoch"], "log_offset": row["seen_offset"]}
    return places | {name: value for name, value in row.items() if name not in NEW}


def run(database: Database, statement: str, row: dict[str, Any]) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute(statement.encode(), {"rows": json_of([row])})


def stored(database: Database) -> tuple[Any, ...]:
    [row] = database.rows("SELECT user_id, cancelled_by, seen_offset FROM user_messages")
    return tuple(row.values())


def test_what_it_writes_leaves_who_cancelled_as_it_is(database: Database) -> None:
    run(database, BEFORE["put_prompts"], as_before(said(3)))
    assert stored(database) == ("ada", None, 3)
    run(database, BEFORE["see_cancels"], as_before(stopped(4, "nobody it knows of")))
    assert stored(database) == ("ada", None, 4)
    run(database, AFTER["see_cancels"], stopped(5, "eve"))
    assert stored(database) == ("ada", "eve", 5)
    # The shard moves to one of before again.
    run(database, BEFORE["put_prompts"], as_before(said(6)))
    run(database, BEFORE["see_cancels"], as_before(stopped(7, "bob")))
    assert stored(database) == ("ada", "eve", 7)
    run(database, AFTER["put_prompts"], said(8))
    run(database, AFTER["see_cancels"], stopped(9, "bob"))
    assert stored(database) == ("ada", "eve", 9)
