"""What `talklog replay` makes of a shard's records."""

import json

import pytest
from typer.testing import CliRunner

from deploy.__main__ import build
from deploy.operators.replay.command import Replay
from deploy.operators.replay.playing import PAUSE_MAX_S, Pace
from deploy.operators.tooling.conversation_text import conversation
from schemas.events import encode
from schemas.forgetting import since_forgotten
from schemas.shard_log import Record
from tests.unit.schemas.log_of import chunk, complete, start, thought
from tests.written import Say

NO_SPEEDS = ("fast", "0", "-1", "nan", "inf")


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
        (["--session", "a b"], "can't be a session's id"),
        (["--session", "s", "--from", "postgres", "--format", "events"], "needs --from topic"),
        *((["--session", "s", "--speed", speed], "1 is as it happened") for speed in NO_SPEEDS),
        (["--session", "s", "--speed", "2", "--from", "postgres"], "needs --from topic"),
    ],
)
def test_what_cannot_be_asked_is_told_with_exit_2(arguments: list[str], says: str) -> None:
    told = CliRunner().invoke(build("replay"), ["replay", *arguments])
    assert told.exit_code == 2
    assert says in told.stderr


def test_at_a_speed_each_record_waits_as_long_as_it_did_or_shorter() -> None:
    pace = Pace(2.0)
    assert pace.wait_s(10_000, now_s=50.0) == 0.0
    assert pace.wait_s(11_000, now_s=50.0) == 0.5
    # Printing took a while: it is caught up with, not added.
    assert pace.wait_s(12_000, now_s=50.8) == pytest.approx(0.2)
    assert pace.wait_s(12_000, now_s=51.5) == 0.0
    a_night_later = pace.wait_s(50_000_000, now_s=51.0)
    assert a_night_later == pytest.approx(PAUSE_MAX_S)


def test_what_is_shown_piece_by_piece_is_the_conversation() -> None:
    pieces: list[str] = []
    found = Replay("s", 3, 7, on_shown=pieces.append)
    events = [
        start("a1", (7, 1, 0)),
        chunk("a1", 1, "lost"),
        start("a2", (7, 2, 0)),
        chunk("a1", 2, "fenced"),
        chunk("a2", 1, "Guten "),
        chunk("a2", 2, "Tag"),
        complete("a2", 2),
    ]
    found.take([record(n, encode(event)) for n, event in enumerate(events)])
    assert "".join(pieces) == (
        "> hello\n\nlost\n\n-- begins again\n\nGuten Tag\n\n"
        "-- m1 · complete, stop · started 2 times\n\n"
    )


def test_thoughts_are_told_apart_from_the_text() -> None:
    pieces: list[str] = []
    found = Replay("s", 3, 7, on_shown=pieces.append)
    events = [
        start("a1", (7, 1, 0)),
        thought("a1", 1, "First\nthis"),
        thought("a1", 2, ", then that."),
        chunk("a1", 1, "Four."),
        complete("a1", 1),
    ]
    found.take([record(n, encode(event)) for n, event in enumerate(events)])
    whole = "> hello\n\n| First\n| this, then that.\n\nFour.\n\n-- m1 · complete, stop\n"
    assert "".join(pieces) == whole + "\n"
    assert "\n".join(conversation(found.transcript.messages.values())) + "\n" == whole


def test_of_what_was_forgotten_no_word_is_told() -> None:
    say, new = Say("s", "m1", content="secret"), Say("s", "m2", content="new", prompt_offset=9)
    events = [
        *say.answer(["secret"])[:-1],
        say.forgotten(said_before=9),
        say.chunk("a1", 2, "secret"),
        say.generating("a2", (9, 9, 9)),
        *new.answer(["told"], attempt="b1"),
    ]
    records = [record(offset, encode(event)) for offset, event in enumerate(events)]
    lines: list[bytes] = []
    shown: list[str] = []
    for found in (Replay("s", 3, 7, lines.append), Replay("s", 3, 7, on_shown=shown.append)):
        found.take(since_forgotten(records))
    assert b"secret" not in b"".join(lines)
    outcomes = [json.loads(line)["outcome"] for line in lines]
    assert outcomes == ["FORGOTTEN", "LATE", "LATE", "STARTED", "CHUNK", "ENDED"]
    assert "secret" not in "".join(shown)
    assert "told" in "".join(shown)


def test_what_is_only_said_about_forgetting_forgets_nothing() -> None:
    say = Say("s", "m1", content="what is session_forgotten?")
    records = [record(n, encode(event)) for n, event in enumerate(say.answer(["an event"]))]
    assert since_forgotten(records) == records
