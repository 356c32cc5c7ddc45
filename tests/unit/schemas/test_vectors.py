"""The cases that Python and JavaScript share, folded by Python."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import events
from schemas.transcript import Message, Place, Transcript, is_lost

VECTORS = Path(__file__).parents[3] / "schemas" / "vectors"


def cases() -> Iterator[Any]:
    for path in sorted(VECTORS.glob("*.json")):
        if not path.name.startswith("frames-"):
            for case in json.loads(path.read_text()):
                yield pytest.param(case, id=f"{path.name}: {case['name']}")


def folded(case: dict[str, Any]) -> Transcript:
    transcript = Transcript()
    for index, step in enumerate(case["events"]):
        event = events.decode_session_event(json.dumps(step["event"]).encode())
        if event is None:  # a type or state that this version does not know
            assert "outcome" not in step
            continue
        place = Place(step.get("epoch", 1), step["offset"])
        outcome = transcript.apply(event, place, step.get("first_sequence"))
        assert outcome.name == step.get("outcome", outcome.name), f"event {index}"
    return transcript


def field(message: Message, name: str) -> Any:
    if name == "error_code":
        return message.error and message.error.code
    return msgspec.to_builtins(getattr(message, name))


@pytest.mark.parametrize("case", list(cases()))
def test_python_folds_as_the_vector_says(case: dict[str, Any]) -> None:
    transcript = folded(case)
    assert list(transcript.messages) == list(case["messages"])
    for message_id, expected in case["messages"].items():
        assert {"state", "text"} <= expected.keys()
        message = transcript.messages[message_id]
        actual = {name: field(message, name) for name in expected}
        # Through JSON, as tuples and lists are the same there.
        assert json.loads(json.dumps(actual)) == expected
    lost = case.get("lost")
    if lost:
        asked = lost["epoch"], lost["log_start"], lost["held_in_log"]
        assert [
            m for m, message in transcript.messages.items() if is_lost(message, *asked)
        ] == lost["messages"]


def test_every_case_has_a_name_of_its_own() -> None:
    names = [
        case["name"] for path in VECTORS.glob("*.json") for case in json.loads(path.read_text())
    ]
    assert len(names) >= 80
    assert len(names) == len(set(names))
