"""The proof names the hop that did not pass the message on."""

from typing import Any

import pytest

from deploy.local.proof import Seen, after, verdict

ID = "m1"


def told(*frames: dict[str, Any]) -> str | None:
    seen = Seen()
    for frame in frames:
        seen = after(seen, frame, ID)
    return verdict(seen)


CONNECTED = {"type": "status", "state": "connected", "recovered": None}
ACCEPTED = {"type": "status", "state": "accepted", "message_id": ID}
GENERATING = {"type": "status", "state": "generating", "message_id": ID}
CHUNK = {"type": "ai_response_chunk", "message_id": ID, "content": "ready"}
COMPLETE = {"type": "ai_response_complete", "message_id": ID}
REFUSED = {
    "type": "error",
    "code": "model_unavailable",
    "message": "connection refused",
    "message_id": ID,
}


@pytest.mark.parametrize(
    ("frames", "hop"),
    [
        ([], "gateway"),
        ([CONNECTED], "Kafka"),
        ([CONNECTED, ACCEPTED], "worker"),
        ([CONNECTED, ACCEPTED, GENERATING], "model"),
        ([CONNECTED, ACCEPTED, GENERATING, REFUSED], "model"),
    ],
)
def test_the_hop_after_the_last_sign_of_life_is_named(
    frames: list[dict[str, Any]], hop: str
) -> None:
    said = told(*frames)
    assert said is not None
    assert said.startswith(hop)


def test_the_reason_is_passed_on() -> None:
    said = told(CONNECTED, ACCEPTED, GENERATING, REFUSED)
    assert said is not None
    assert "model_unavailable: connection refused" in said


@pytest.mark.parametrize("last", [CHUNK, COMPLETE])
def test_first_words_or_an_end_prove_it(last: dict[str, Any]) -> None:
    assert told(CONNECTED, ACCEPTED, GENERATING, last) is None


def test_an_answer_that_breaks_off_proves_nothing() -> None:
    assert told(CONNECTED, ACCEPTED, GENERATING, CHUNK, REFUSED) is not None


def test_other_messages_do_not_count() -> None:
    assert told(CONNECTED, ACCEPTED, {**CHUNK, "message_id": "other"}) is not None
