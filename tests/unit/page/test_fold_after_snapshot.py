"""A log cut anywhere and gone on with from a snapshot folds to what the whole log folds to.

Held for the terminal client and for the page, over the shared cases and over random logs: so a
snapshot leaves nothing out that the fold needs, or that a reload would take from the screen.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from deploy.chat.view import View
from gateway.snapshot.snapshot import snapshot
from schemas.cursor import Cursor
from schemas.events import SessionEvent, decode_session_event
from schemas.frames import encode
from schemas.transcript import Message, Outcome, Place, Transcript
from tests.filled import FOR_CLIENTS, TEXTS, plain
from tests.unit.page.node import ROOT, node
from tests.unit.persister.random_log import any_event

RANDOM_LOGS = 60
EVENTS_IN_A_LOG = 25

Step = dict[str, Any]
Case = dict[str, Any]


def cases_of_the_vectors() -> Iterator[tuple[str, list[Step]]]:
    for path in sorted((ROOT / "schemas" / "vectors").glob("*.json")):
        if path.name.startswith("frames-"):
            continue
        for case in json.loads(path.read_text()):
            steps: list[Step] = case["events"]
            # Within one connection there is one epoch, and an overlap ends it.
            whole = all("epoch" not in step for step in steps)
            if steps and whole and not any(step.get("outcome") == "OVERLAP" for step in steps):
                yield case["name"], steps


def random_logs() -> Iterator[tuple[str, list[Step]]]:
    for seed in range(RANDOM_LOGS):
        chance = Random(seed)
        events = [any_event(chance) for _ in range(EVENTS_IN_A_LOG)]
        answers = [event for event in events if isinstance(event, SessionEvent)]
        yield (
            f"random log {seed}",
            [
                {"offset": offset, "event": json.loads(msgspec.json.encode(event))}
                for offset, event in enumerate(answers)
            ],
        )


def folded(steps: Sequence[Step]) -> Transcript:
    transcript = Transcript()
    for step in steps:
        event = decode_session_event(msgspec.json.encode(step["event"]))
        if event is not None:
            place = Place(1, step["offset"])
            outcome = transcript.apply(event, place, step.get("first_sequence"))
            assert outcome is not Outcome.OVERLAP
    return transcript


def said_after(steps: Sequence[Step], cut: int) -> list[Step]:
    """What a socket is given that joins after `cut` steps."""
    last = steps[cut - 1]["offset"] if cut else steps[0]["offset"] - 1
    given = snapshot(
        "s",
        folded(steps[:cut]),
        Cursor(1, 0, last),
        joined=Place(1, last + 1),
        history=100,
        log_start=0,
    )
    frames = [{"type": "status", "state": "connected", "recovered": None, "epoch": 1}]
    frames.append(json.loads(encode(given)))
    for step in steps[cut:]:
        merged = {"first_sequence": step["first_sequence"]} if "first_sequence" in step else {}
        frames.append(step["event"] | merged | {"cursor": f"1.0.{step['offset']}"})
    return frames


def told(message: Message) -> dict[str, Any]:
    """Everything that is true of a message but its places in the log, as JSON has it."""
    return {
        TEXTS.get(name, name): plain(message, name) for name in FOR_CLIENTS if name != "message_id"
    }


def cut_cases() -> Iterator[Case]:
    for name, steps in (*cases_of_the_vectors(), *random_logs()):
        expected = {id_: told(message) for id_, message in folded(steps).messages.items()}
        for cut in range(len(steps) + 1):
            yield {
                "name": f"{name} Cut after {cut}.",
                "own": [],
                "frames": said_after(steps, cut),
                "messages": expected,
                "cursor": f"1.0.{steps[-1]['offset']}",
                "resend": [],
            }


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    made = list(cut_cases())
    assert len(made) > 1_000
    return made


def test_python_folds_on_from_a_snapshot_as_if_it_had_read_all(cases: list[Case]) -> None:
    for case in cases:
        view = View()
        for frame in case["frames"]:
            view.receive(frame)
        now = {id_: told(message) for id_, message in view.transcript.messages.items()}
        assert now == case["messages"], case["name"]


def test_javascript_folds_on_from_a_snapshot_as_if_it_had_read_all(
    cases: list[Case], tmp_path: Path
) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps(cases))
    ran = node(ROOT / "tests" / "javascript" / "vectors.js", path)
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(results) == len(cases)
    assert [result for result in results if result["problems"]] == []
