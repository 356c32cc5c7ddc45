"""A field of a message is carried wherever messages go; Postgres' part is an integration test."""

import dataclasses
import json
import re
from pathlib import Path
from zlib import crc32

import pytest

from deploy.chat.view import View
from deploy.operators.verify.faults import Kind, Report
from deploy.operators.verify.known import Answered, Asked, Chunks, Session, sum_of
from deploy.operators.verify.row_check import RowCheck, Stored, StoredChunks
from deploy.operators.verify.shard_check import ShardCheck
from gateway.snapshot.snapshot import snapshot
from persister.answer_row import Answer, answer_of, row_of
from schemas.conversation import columns_of
from schemas.cursor import Cursor
from schemas.frames import encode
from schemas.statements import statements
from schemas.transcript import Message, Place, Transcript
from tests.filled import (
    CREATED_AT,
    FIELDS,
    FOR_CLIENTS,
    MESSAGE_ID,
    SESSION,
    TEXTS,
    empty,
    filled,
    lost,
    plain,
    unfilled,
)
from tests.unit.page.node import ROOT, node
from tests.unit.persister.tables import _typed

SETTLED_WITH_THE_FIRST_ROW = {"session_id", "message_id", "first_epoch", "first_offset"}
KEYS = ("message_id", "first")
"""What a row is found by: with another one it is another row, and `row_invented`."""


def frames(message: Message) -> list[dict[str, object]]:
    """What a socket is given that joins when the session's only message is like this."""
    made = snapshot(
        SESSION,
        Transcript(messages={MESSAGE_ID: message}),
        Cursor(7, 0, 9),
        joined=Place(7, 10),
        history=100,
        log_start=0,
    )
    connected = {"type": "status", "state": "connected", "recovered": None, "epoch": 7}
    return [connected, json.loads(encode(made))]


def forgotten_by_the_terminal(_: Path) -> list[str]:
    view = View()
    for frame in frames(filled()):
        view.receive(frame)
    return lost(view.transcript.messages.get(MESSAGE_ID), FOR_CLIENTS)


def forgotten_by_the_page(folder: Path) -> list[str]:
    """One case a field, so that each that is not as it must be is named; and each when empty."""
    cases = []
    for message in (filled(), empty()):
        for name in FOR_CLIENTS:
            told = {TEXTS.get(name, name): plain(message, name)}
            given = {"own": [], "resend": [], "cursor": "7.0.9", "frames": frames(message)}
            cases.append({"name": name, "messages": {MESSAGE_ID: told}} | given)
    path = folder / "cases.json"
    path.write_text(json.dumps(cases))
    ran = node(ROOT / "tests" / "javascript" / "vectors.js", path)
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(results) == len(cases)
    return [result["name"] for result in results if result["problems"]]


def forgotten_by_the_row(_: Path) -> list[str]:
    answer = Answer(SESSION, filled(), shard=0, next_chunk_sequence=1, ended_at=CREATED_AT)
    row = json.loads(json.dumps(row_of(answer)))
    carried = answer_of(_typed(row)).message
    # These are written by themselves: into other tables, and behind what the row has.
    apart = ("prompt", *TEXTS)
    return lost(carried, tuple(name for name in FIELDS if name not in apart))


def forgotten_by_the_upsert(_: Path) -> list[str]:
    answer = Answer(SESSION, filled(), shard=0, next_chunk_sequence=1)
    statement = statements("persister", "queries.sql")["put_answers"]
    written = set(re.findall(r"^\s+(\w+) = EXCLUDED\.\1[,]?$", statement, re.MULTILINE))
    return sorted(row_of(answer).keys() - written - SETTLED_WITH_THE_FIRST_ROW)


def forgotten_by_the_verifier(_: Path) -> list[str]:
    names = [name for name in FIELDS if name not in KEYS]
    assert not faults_of_rows(filled())
    default = empty()
    return [
        name
        for name in names
        if faults_of_rows(dataclasses.replace(filled(), **{name: getattr(default, name)}))
        != [Kind.row_differs]
    ]


def faults_of_rows(stored: Message) -> list[Kind]:
    """What the verifier says where the log has `filled` and Postgres has `stored`."""
    truth, report = filled(), Report()
    check = ShardCheck(report, epoch=7, shard=0, shards=1, whole=True, since_ms=0)
    session = check.sessions[SESSION] = Session()
    prompt = crc32(truth.prompt.content.encode()) if truth.prompt else 0
    session.asked[MESSAGE_ID] = Asked(1, 0, prompt, sum_of("ada"))
    session.answered[MESSAGE_ID] = Answered(truth, 3, 0, whole=True, chunks=chunks(truth))
    session.answered[MESSAGE_ID].reasoning.add(truth.reasoning)
    row = columns_of(stored) | {"reasoning": stored.reasoning}
    content = stored.prompt.content if stored.prompt else ""
    said = {"epoch": 7, "log_offset": 1, "content": content, "user_id": "ada", "cancelled_at": None}
    key = (SESSION, MESSAGE_ID)
    rows = RowCheck(report, check, epoch=7, shard=0, gaps=False, user_position=10)
    # As many pieces as there are: that the text is another one must be seen as well.
    found = StoredChunks(chunks(stored), {truth.attempt or ""}, [])
    rows.sessions([SESSION], Stored({key: row}, {key: said}, {key: found}))
    return [fault.kind for fault in report.listed]


def chunks(message: Message) -> Chunks:
    taken = Chunks()
    taken.add(1, 1, message.text)
    return taken


@pytest.mark.parametrize(
    "forgotten",
    [
        pytest.param(forgotten_by_the_terminal, id="snapshot frame and the terminal's view"),
        pytest.param(forgotten_by_the_page, id="snapshot frame and the page's fold"),
        pytest.param(forgotten_by_the_row, id="columns_of and message_of"),
        pytest.param(forgotten_by_the_upsert, id="statement put_answers"),
        pytest.param(forgotten_by_the_verifier, id="talklog verify"),
    ],
)
def test_every_field_of_a_message_is_carried_everywhere(
    forgotten: "object", tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert unfilled() == [], "tests/filled.py has no value for these fields"
    assert callable(forgotten)
    place = request.node.callspec.id
    assert [f"{name} is forgotten by {place}" for name in forgotten(tmp_path)] == []
