"""A rolling upgrade: readers and writers of two versions at once, in both directions.

The kept files are what earlier versions wrote (and this one writes now). A reader of this version
takes them as they are; a reader of an earlier one finds all that it needs in what is written now;
and what a later one adds, at whatever depth, changes nothing of what is read.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.chat.view import View
from gateway.socket.client_frame import parse
from persister.answer_row import answer_of, row_of
from schemas.events import decode_session_event, decode_user_event
from schemas.topics import USER_MESSAGES
from tests.unit.persister.tables import _typed as as_read
from tests.unit.skew.now import written
from workers.history.redis_history import _decode as decode_history

KEPT = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("*.json")}
LATER = {"later": {"deep": [1, {"er": None}]}, "and": "so on"}
every_version = pytest.mark.parametrize("kept", KEPT.values(), ids=list(KEPT))


def of_a_later_version(value: Any) -> Any:
    """The same with fields of a later version in every object."""
    if isinstance(value, dict):
        return {name: of_a_later_version(each) for name, each in value.items()} | LATER
    if isinstance(value, list):
        return [of_a_later_version(each) for each in value]
    return value


def as_it_is(value: Any) -> Any:
    return value


both_ways = pytest.mark.parametrize("change", [as_it_is, of_a_later_version])
Change = Callable[[Any], Any]


def test_this_version_has_left_a_file() -> None:
    assert written() in KEPT.values(), "python -m tests.unit.skew.now > tests/unit/skew/NEXT.json"


@every_version
@both_ways
def test_events_are_read(kept: dict[str, Any], change: Change) -> None:
    for event in kept["events"]:
        value = msgspec.json.encode(change(event["value"]))
        decode = decode_user_event if event["topic"] == USER_MESSAGES else decode_session_event
        read = msgspec.json.decode(msgspec.json.encode(decode(value)))
        assert {name: read[name] for name in event["value"]} == event["value"]


@every_version
@both_ways
def test_a_row_is_read(kept: dict[str, Any], change: Change) -> None:
    row = as_read(kept["row"])
    row |= {name: change(row[name]) for name in ("usage", "timings")}
    again = as_read({name: row_of(answer_of(row))[name] for name in kept["row"]})
    assert again == as_read(kept["row"])


def test_a_figure_of_another_version_costs_no_answer() -> None:
    row = as_read(KEPT["0.1"]["row"]) | {"usage": {"tokens": 3}, "timings": {"total_ms": "long"}}
    message = answer_of(row).message
    assert (message.usage, message.timing, message.state) == (None, None, "error")


@every_version
@both_ways
def test_a_history_in_redis_is_read(kept: dict[str, Any], change: Change) -> None:
    turns = decode_history(msgspec.json.encode(change(kept["redis"]))).history
    assert msgspec.to_builtins(turns) == kept["redis"]["history"]


@every_version
@both_ways
def test_frames_are_read_on_both_sides(kept: dict[str, Any], change: Change) -> None:
    view = View()
    view.receive({"type": "status", "state": "connected", "recovered": None, "epoch": 7})
    view.receive(change(kept["snapshot"]))
    [message] = view.transcript.messages.values()
    assert (message.state, message.starts, message.model) == ("error", 3, "small")
    for request in kept["requests"]:
        plain, later = (parse(json.dumps(each), ["small"]) for each in (request, change(request)))
        assert plain == later


@every_version
def test_a_reader_of_an_earlier_version_finds_what_it_needs(kept: dict[str, Any]) -> None:
    """Nothing that it was given is missing, and nothing has become of another kind."""
    now = written()
    for event in kept["events"]:
        same = [each for each in now["events"] if _kind(each) == _kind(event)]
        assert any(_holds(each["value"], event["value"]) for each in same), event
    for part in ("row", "redis", "snapshot"):
        assert _holds(now[part], kept[part]), part


def _kind(event: dict[str, Any]) -> tuple[Any, ...]:
    value = event["value"]
    return event["topic"], value["type"], value.get("state")


def _holds(now: Any, then: Any) -> bool:
    if isinstance(then, dict):
        return isinstance(now, dict) and all(
            name in now and _holds(now[name], each) for name, each in then.items()
        )
    if isinstance(then, list):
        return isinstance(now, list) and all(map(_holds, now, then))
    return then is None or isinstance(now, type(then))
