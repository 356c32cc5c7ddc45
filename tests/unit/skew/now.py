"""What this version writes: `python -m tests.unit.skew.now > tests/unit/skew/N.json` keeps it.

Done once for each version that is given away; a kept file never changes.
"""

import json
from typing import Any

import msgspec

from gateway.snapshot.snapshot import snapshot
from persister.answer_row import Answer, row_of
from schemas import requests
from schemas.cursor import Cursor
from schemas.events import Event
from schemas.frames import encode
from schemas.transcript import Place, Transcript
from tests.filled import CREATED_AT, MESSAGE_ID, SESSION, filled
from tests.written import Say, topic_of
from workers.history.prompt import Turn


def events() -> list[Event]:
    """One of each type and state."""
    say = Say("s1", "m1")
    return [
        say.said(),
        say.cancel(),
        say.queued(),
        say.generating("a1", (1, 2, 3)),
        say.generating("a2", (1, 2, 4), continues="a1"),
        say.alive("a1"),
        say.cancelling("a1"),
        say.released("a1"),
        say.released("a1", anew=True),
        say.chunk("a1", 1, "Hel"),
        say.complete("a1", 1),
        say.thought("a1", 1, "Hm"),
        say.complete("a1", 1, tool_calls_ignored=2),
        say.failed("a1", "internal", 1),
        say.failed(None, "busy"),
        Say("s1", "m1", prompt_offset=5).generating("a1", (1, 2, 3)),
        say.forgotten(7),
    ]


def written() -> dict[str, Any]:
    """Everything that another version may have to read, as plain JSON."""
    message = filled()
    made = snapshot(
        SESSION,
        Transcript(messages={MESSAGE_ID: message}),
        Cursor(7, 0, 9),
        joined=Place(7, 10),
        history=100,
        log_start=0,
    )
    row = row_of(Answer(SESSION, message, 0, 5, 1, Place(7, 9), CREATED_AT))
    history = [
        Turn(role="user", content="why?", message_id="m1", offset=7, epoch=3),
        Turn(role="assistant", content="so", message_id="m1", offset=7, epoch=3),
    ]
    asked = [
        requests.Ask(content="why?", message_id="m1", on_busy="reject", model="small"),
        requests.Stop(message_id="m1"),
        requests.Ping(nonce=7),
    ]
    whole = {
        "events": [{"topic": topic_of(event), "value": event} for event in events()],
        "row": row,
        "redis": {"history": history, "last_updated": CREATED_AT},
        "snapshot": json.loads(encode(made)),
        "requests": asked,
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
    return plain


if __name__ == "__main__":
    print(json.dumps(written(), indent=1))
