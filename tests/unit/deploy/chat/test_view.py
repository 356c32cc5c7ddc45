"""The terminal client's reducer: the cases it shares with the page, and what it tells beside."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.chat.view import View
from schemas.transcript import Message

VECTORS = Path(__file__).parents[4] / "schemas" / "vectors"


def cases() -> Iterator[Any]:
    for path in sorted(VECTORS.glob("frames-*.json")):
        for case in json.loads(path.read_text()):
            yield pytest.param(case, id=f"{path.name}: {case['name']}")


def field(message: Message, name: str) -> Any:
    if name == "error_code":
        return message.error and message.error.code
    return msgspec.to_builtins(getattr(message, name))


@pytest.mark.parametrize("case", list(cases()))
def test_python_reduces_as_the_vector_says(case: dict[str, Any]) -> None:
    view = View()
    for message_id in case["own"]:
        view.submitted(message_id, f"prompt {message_id}")
    resend = [again for frame in case["frames"] for again in view.receive(frame)]
    messages = view.transcript.messages
    assert sorted(messages) == sorted(case["messages"])
    for message_id, expected in case["messages"].items():
        actual = {name: field(messages[message_id], name) for name in expected}
        if actual.get("prompt") and not actual["prompt"]["created_at"]:
            actual["prompt"]["created_at"] = None  # an own prompt: this client keeps no time
        assert json.loads(json.dumps(actual)) == expected
    assert view.resume_cursor() == case["cursor"]
    assert resend == case["resend"]
    if "order" in case:
        assert list(messages) == case["order"]
    if "submits" in case:
        assert {own.message_id: own.submit for own in view.own.values()} == case["submits"]


def test_a_message_is_over_when_nothing_will_come_of_it() -> None:
    view = View()
    view.submitted("m1", "hello")
    assert not view.over("m1")
    view.receive({"type": "error", "message_id": "m1", "code": "busy", "message": "try later"})
    assert view.over("m1")
    assert view.own["m1"].problem == "busy: try later"
    view.receive({"type": "status", "state": "connected", "recovered": None})
    view.receive({"type": "snapshot", "cursor": "1.2.3", "messages": [], "ended": ["m2"]})
    assert view.over("m2")
    view.submitted("m2", "again")
    assert "m2" not in view.own


def test_how_long_a_message_waits_is_told_and_changes_nothing() -> None:
    view = View()
    view.submitted("m1", "?")
    frame = {"type": "status", "state": "queued", "message_id": "m1", "position": 3, "eta_ms": 9000}
    assert view.receive(frame) == []
    assert view.waits == {"m1": (3, 9000)}
    assert view.own["m1"].submit == "sending"
