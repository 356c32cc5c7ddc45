"""The generated schemas are what the structs say, and say what the code checks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.documents.asyncapi import asyncapi
from deploy.documents.json_schemas import (
    GATEWAY_FRAMES,
    SESSION_EVENTS,
    STATE_FIELDS,
    USER_EVENTS,
    json_schemas,
)
from deploy.documents.schema_documents import documents
from gateway.socket import client_frame
from schemas import events, frames, requests

FOLDER = Path(__file__).parents[4] / "schemas"
FIELDS: Any = {
    "attempt": "a1",
    "fence": (1, 1, 0),
    "prompt": events.Prompt(content="x", created_at="2026-01-05T10:00:00.000Z"),
}


def test_the_files_are_those_that_would_be_written_now() -> None:
    there = [FOLDER / "asyncapi.yaml", *sorted((FOLDER / "json").glob("*.json"))]
    found = {str(path.relative_to(FOLDER)): path.read_text() for path in there}
    assert found == documents(), "run `make schemas`"


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize(
    "document", [asyncapi(), *json_schemas().values()], ids=["asyncapi", *json_schemas()]
)
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_event_and_every_frame_is_described() -> None:
    assert {*USER_EVENTS, *SESSION_EVENTS} == set(tagged(events, events.Event))
    assert set(GATEWAY_FRAMES) == set(tagged(frames, frames.Frame))
    assert set(requests.REQUESTS) == set(tagged(requests, requests.Request))


def tagged(module: object, base: type) -> Iterator[type]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and value is not base:
            yield value


@pytest.mark.parametrize("state", STATE_FIELDS)
@pytest.mark.parametrize("left_out", [None, *FIELDS])
def test_a_state_needs_what_the_schema_says(state: Any, left_out: str | None) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != left_out}

    def make() -> None:
        events.Status(session_id="s", message_id="m", created_at="", state=state, **fields)

    if left_out in STATE_FIELDS[state]:
        with pytest.raises(ValueError, match=f"{state} without"):
            make()
    else:
        make()


def test_ids_mean_the_same_to_every_reader_of_the_pattern() -> None:
    # Without Python's `$`, which also matches before a last newline.
    status = json_schemas()["ai_response_chunks"]["$defs"]["Status"]
    pattern = status["properties"]["session_id"]["pattern"]
    assert re.search(pattern, "abc123")
    assert not re.search(pattern, "abc\n")


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        (
            requests.Ask(content="hi", message_id="m1", on_busy="reject"),
            client_frame.Ask("hi", "m1", "reject", None),
        ),
        (requests.Ask(content="hi"), client_frame.Ask("hi", None, "enqueue", None)),
        (requests.Stop(message_id="m1"), client_frame.Stop("m1")),
        (requests.Stop(), client_frame.Stop(None)),
        (requests.Ping(nonce=7), client_frame.Ping(7)),
        (requests.RenewToken(token="t"), client_frame.RenewToken("t")),
        (requests.Earlier(before="m1", limit=5), client_frame.Earlier("m1", 5)),
        (requests.Earlier(), client_frame.Earlier(None, 20)),
    ],
)
def test_a_gateway_reads_what_a_client_writes(
    asked: requests.Request, read: client_frame.Request
) -> None:
    assert client_frame.parse(requests.encode(asked)) == read


def test_a_gateway_knows_no_other_request() -> None:
    assert {struct.__struct_config__.tag for struct in requests.REQUESTS} == set(
        client_frame._READERS
    )
