"""The tables from nothing, from yoyo's time, by two at once, and where a file fails."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from deploy.operators.migrate import MigrationFailed, migrate
from deploy.operators.tooling.schema_files import SchemaFile, schema_files
from tests.integration.persister.conftest import Database
from tests.stack import RunningStack

pytestmark = pytest.mark.stack

NAMES = [file.name for file in schema_files()]
NUMBERS = [file.number for file in schema_files()]


@pytest.fixture
def empty(servers: RunningStack) -> Iterator[Database]:
    """A database without tables."""
    name = f"migrated_{time.monotonic_ns()}"
    with psycopg.connect(servers.file.postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
        yield Database(urlunsplit(urlsplit(servers.file.postgres)._replace(path=f"/{name}")))
        with contextlib.suppress(psycopg.Error):
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def version(database: Database) -> object:
    return database.value("SELECT version_num FROM alembic_version")


def as_yoyo_left_it(database: Database, files: list[SchemaFile]) -> None:
    """yoyo-migrations 9 made this table, and wrote a row for each file that it ran."""
    database.rows(
        "CREATE TABLE _yoyo_migration (migration_hash VARCHAR(64), migration_id VARCHAR(255), "
        "applied_at_utc TIMESTAMP, PRIMARY KEY (migration_hash))"
    )
    for file in files:
        with psycopg.connect(database.dsn) as connection:
            connection.execute(file.statements)
        insert = "INSERT INTO _yoyo_migration VALUES (%s, %s, NOW())"
        database.rows(insert, f"hash of {file.name}", file.name)


def test_an_empty_database_gets_every_table_once(empty: Database) -> None:
    assert migrate(empty.dsn) == NAMES
    assert version(empty) == NUMBERS[-1]
    assert empty.value("SELECT count(*) FROM conversation") == 0
    assert migrate(empty.dsn) == []


@pytest.mark.parametrize("count", range(1, len(NAMES) + 1))
def test_a_database_of_yoyo_goes_on_from_where_it_stands(empty: Database, count: int) -> None:
    as_yoyo_left_it(empty, schema_files()[:count])
    empty.rows(
        "INSERT INTO streaming_messages "
        "(session_id, chunk_sequence, content, message_id, attempt, sequence) "
        "VALUES ('s', 1, 'kept', 'm', 'a', 1)"
    )
    assert migrate(empty.dsn) == NAMES[count:]
    assert version(empty) == NUMBERS[-1]
    assert migrate(empty.dsn) == []
    assert empty.text("s") == "kept"
    # An older version that is started again knows what it has run.
    assert empty.value("SELECT count(*) FROM _yoyo_migration") == count


def test_a_history_of_yoyo_that_is_of_no_version_is_refused(empty: Database) -> None:
    as_yoyo_left_it(empty, [])
    empty.rows("INSERT INTO _yoyo_migration VALUES ('x', '0002.something_else', NOW())")
    with pytest.raises(MigrationFailed, match=r"of no version.*0002\.something_else"):
        migrate(empty.dsn)


def test_of_two_at_once_one_works_and_the_other_waits(empty: Database) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(migrate, [empty.dsn, empty.dsn]))
    assert sorted(done) == [[], NAMES]


def test_a_file_that_fails_is_named_and_rolled_back_and_those_before_it_stay(
    empty: Database,
) -> None:
    broken = SchemaFile("0002.broken", "0002", b"CREATE TABLE half (x INT); SELECT no_such_column;")
    files = [schema_files()[0], broken]
    with pytest.raises(MigrationFailed, match=r"0002\.broken: .*no_such_column"):
        migrate(empty.dsn, files)
    assert version(empty) == "0001"
    assert empty.value("SELECT to_regclass('half') IS NULL")
    # Mended, it goes on from there.
    assert migrate(empty.dsn) == NAMES[1:]


def test_tables_of_a_later_version_are_left_as_they_are(empty: Database) -> None:
    migrate(empty.dsn)
    empty.rows("UPDATE alembic_version SET version_num = '9999'")
    assert migrate(empty.dsn) == []
    assert version(empty) == "9999"


def test_a_server_that_is_not_there_is_told_in_a_line() -> None:
    with pytest.raises(MigrationFailed, match="PostgreSQL: "):
        migrate("postgresql://127.0.0.1:1/nothing")
