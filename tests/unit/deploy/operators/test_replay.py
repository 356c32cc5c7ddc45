"""What `talklog replay` makes of a shard's records."""

import json

import pytest
from typer.testing import CliRunner

from deploy.__main__ import build
from deploy.operators.replay.command import Replay
from schemas.events import encode
from schemas.shard_log import Record
from tests.unit.schemas.log_of import chunk, complete, start


def record(offset: int, value: bytes, session_id: str = "s") -> Record:
    return Record(offset, 1000 + offset, session_id, value)


def test_only_the_records_of_the_session_are_folded() -> None:
    found = Replay("s", shard=3, epoch=7)
    found.take([record(0, encode(start("a1", (7, 1, 0)))), record(1, b"other", "t")])
    found.take([record(2, encode(chunk("a1", 1, "hi"))), record(3, encode(complete("a1", 1)))])
    (message,) = found.transcript.messages.values()
    assert (message.text, found.records) == ("hi", 3)


def test_each_record_is_told_with_its_cursor_and_what_the_fold_made_of_it() -> None:
    lines: list[bytes] = []
    found = Replay("s", 3, 7, lines.append)
    later = b'{"type":"tool_call","session_id":"s"}'
    found.take(
        [
            record(4, encode(start("a1", (7, 1, 0)))),
            record(5, encode(chunk("a0", 1, "x"))),
            record(6, b"\xffnot json"),
            record(7, later),
        ]
    )
    told = [json.loads(line) for line in lines]
    assert [line["outcome"] for line in told] == ["STARTED", "FENCED", "UNDECODABLE", "SKIPPED"]
    assert [line["cursor"] for line in told] == ["7.3.4", "7.3.5", "7.3.6", "7.3.7"]
    assert told[0]["logged_ms"] == 1004
    assert told[1]["event"]["content"] == "x"
    assert told[2]["event"] == "\ufffdnot json"
    assert told[3]["event"] == json.loads(later)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "which session?"),
        (["--session", "s", "--from", "postgres", "--format", "events"], "needs --from topic"),
        (["--session", "s", "--speed", "1"], "not built yet"),
    ],
)
def test_what_cannot_be_asked_is_told_with_exit_2(arguments: list[str], says: str) -> None:
    told = CliRunner().invoke(build("replay"), ["replay", *arguments])
    assert told.exit_code == 2
    assert says in told.stderr
