"""One message, plain facts, one decision."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.transcript import Message
from workers.intake.actions import Cancelling, EndedEarly, Failed
from workers.intake.decision import (
    QUEUE_MAX_MESSAGES,
    Care,
    Decision,
    Do,
    Facts,
    Run,
    Silence,
    decide,
    known_on_busy,
    known_stop,
)

NEW = Facts(
    view=None,
    runs_here=False,
    silence=Silence.HEARD,
    stop=None,
    ahead=0,
    on_busy="enqueue",
    read_since_delivery=False,
    looked_up=True,
    mute_deaths=0,
    dead_lettered=False,
    resting=False,
    outranked=False,
)


def message(**fields: Any) -> Message:
    return Message("m1", **fields)


def running(**fields: Any) -> Message:
    given: dict[str, Any] = {"attempt": "a1", "starts": 1, "unended_starts": 1, "last_sequence": 4}
    return message(state="generating", **(given | fields))


def released(unended: int = 0) -> Message:
    return message(released=True, attempt="a1", unended_starts=unended, last_sequence=4)


BUSY = "busy"
SUSPECT = Run(Care.SUSPECT)
CASES: list[tuple[str, dict[str, Any], Decision | str]] = [
    ("new and first", {}, Run(Care.FRESH)),
    ("not looked up yet", {"looked_up": False}, Do.LOOK_UP),
    (
        "known to the log, so not looked up",
        {"looked_up": False, "view": message()},
        Run(Care.FRESH),
    ),
    ("behind another", {"ahead": 1}, Do.SAY_QUEUED),
    ("behind another, said already", {"ahead": 1, "view": message()}, Do.WAIT),
    ("resting", {"resting": True}, Do.WATCH),
    ("outranked", {"view": released(), "outranked": True}, Do.OUTRANKED),
    (
        "outranked and stopped",
        {"outranked": True, "stop": "cancel"},
        EndedEarly("cancelled", None, 0),
    ),
    ("runs here", {"runs_here": True, "view": running()}, Do.WAIT),
    ("runs here, stopped", {"runs_here": True, "view": running(), "stop": "cancel"}, Do.STOP),
    ("runs elsewhere", {"view": running()}, Do.WATCH),
    ("perhaps silent", {"view": running(), "silence": Silence.UNSURE}, Do.READ_TO_END),
    ("silent", {"view": running(), "silence": Silence.SILENT}, Run(Care.SPOKE)),
    (
        "runs elsewhere, stopped",
        {"view": running(), "stop": "interrupt"},
        Cancelling("a1", "interrupt"),
    ),
    (
        "runs elsewhere, told already",
        {"view": running(cancelling="cancel"), "stop": "cancel"},
        Do.WATCH,
    ),
    (
        "silent and stopped",
        {"view": running(), "silence": Silence.SILENT, "stop": "cancel"},
        EndedEarly("cancelled", "a1", 4),
    ),
    ("released", {"view": released()}, Run(Care.FRESH)),
    (
        "released and stopped",
        {"view": released(), "stop": "cancel"},
        EndedEarly("cancelled", "a1", 4),
    ),
    ("cancelled while it waits", {"ahead": 2, "stop": "cancel"}, EndedEarly("cancelled", None, 0)),
    ("interrupted, not its turn", {"ahead": 2, "stop": "interrupt"}, Do.WAIT),
    (
        "interrupted in its turn",
        {"stop": "interrupt", "view": message()},
        EndedEarly("interrupted", None, 0),
    ),
    ("reject, free", {"on_busy": "reject"}, Run(Care.FRESH)),
    ("reject, perhaps busy", {"on_busy": "reject", "ahead": 1}, Do.READ_TO_END),
    (
        "reject, busy",
        {"on_busy": "reject", "ahead": 1, "read_since_delivery": True},
        BUSY,
    ),
    (
        "reject, was let in before",
        {"on_busy": "reject", "ahead": 1, "view": message()},
        Do.WAIT,
    ),
    ("the last that may wait", {"ahead": QUEUE_MAX_MESSAGES}, Do.SAY_QUEUED),
    ("one too many, perhaps", {"ahead": QUEUE_MAX_MESSAGES + 1}, Do.READ_TO_END),
    (
        "one too many",
        {"ahead": QUEUE_MAX_MESSAGES + 1, "read_since_delivery": True},
        BUSY,
    ),
    (
        "interrupt is never too many",
        {"ahead": QUEUE_MAX_MESSAGES + 1, "on_busy": "interrupt"},
        Do.SAY_QUEUED,
    ),
    ("one unended start", {"view": released(1)}, Run(Care.SPOKE)),
    ("one unended start, nothing after it", {"view": released(1), "mute_deaths": 1}, SUSPECT),
    ("none, nothing after the start", {"view": released(), "mute_deaths": 1}, Run(Care.FRESH)),
    ("two, nothing after them", {"view": released(2), "mute_deaths": 2}, Run(Care.TWICE)),
    ("two, nothing after one", {"view": released(2), "mute_deaths": 1}, SUSPECT),
    ("two that had spoken", {"view": released(2)}, Run(Care.SPOKE)),
    ("three, nothing after them", {"view": released(3), "mute_deaths": 3}, Do.DEAD_LETTER),
    ("nine that had spoken", {"view": released(9)}, Run(Care.SPOKE)),
    ("ten that had spoken", {"view": released(10)}, Do.DEAD_LETTER),
    (
        "three, put away",
        {"view": released(3), "mute_deaths": 3, "dead_lettered": True},
        "retries_exhausted",
    ),
    (
        "three, but cancelled",
        {"view": released(3), "mute_deaths": 3, "stop": "cancel"},
        EndedEarly("cancelled", "a1", 4),
    ),
]


@pytest.mark.parametrize(("facts", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_decision(facts: dict[str, Any], expected: Decision | str) -> None:
    decision = decide(replace(NEW, **facts))
    if isinstance(expected, str):
        assert isinstance(decision, Failed)
        assert decision.code == expected
        assert decision.retryable == (expected == BUSY)
        view = facts.get("view")
        assert decision.attempt == (view.attempt if view else None)
    else:
        assert decision == expected


def test_what_a_later_version_asks_for_waits_in_line_and_what_it_stops_for_stops() -> None:
    asked = [known_on_busy(told) for told in ("enqueue", "reject", "interrupt", "merge")]
    assert asked == ["enqueue", "reject", "interrupt", "enqueue"]
    stops = [known_stop(told) for told in ("cancel", "interrupt", "budget")]
    assert stops == ["cancel", "interrupt", "cancel"]
