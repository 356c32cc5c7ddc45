"""Rows that are right, to ask Postgres with: is it the record that is refused, or the tables?

They are those of a short conversation of nobody's, one of each statement, and are taken back.
"""

from typing import Any

from persister.changes import Changes
from persister.rows import RowFold
from schemas.events import (
    Cancel,
    Chunk,
    Complete,
    Prompt,
    ReasoningChunk,
    SessionEvent,
    SessionForgotten,
    Status,
    UserEvent,
    UserMessage,
)

_SESSION = "talklog-known-good"
_AT = "2000-01-01T00:00:00.000Z"
_PROMPT = Prompt(content="Is it I?", created_at=_AT)


def known_good_rows() -> Changes:
    """Give the changes of a message, its answer's one chunk and its end."""
    said: dict[str, Any] = {"session_id": _SESSION, "message_id": "m1", "created_at": _AT}
    events: list[UserEvent | SessionEvent] = [
        SessionForgotten(**said, said_before=0),
        Cancel(**said, user="nobody"),
        UserMessage(**said, content=_PROMPT.content, user="nobody"),
        Cancel(**said, user="nobody"),
        Status(
            **said,
            state="generating",
            attempt="a1",
            fence=(1, 1, 1),
            prompt=_PROMPT,
            prompt_offset=2,
        ),
        ReasoningChunk(**said, attempt="a1", sequence=1, content="Is it?"),
        Chunk(**said, attempt="a1", sequence=1, content="No."),
        Complete(**said, attempt="a1", last_sequence=1, finish_reason="stop"),
    ]
    fold = RowFold(1, len(events))
    fold.restore([(_SESSION, "m1")], [], {})
    return fold.fold([(0, offset, event) for offset, event in enumerate(events)])
