"""What a client believes: the page's reducer over frames, in Python, on the one fold.

It repeats `gateway/page/reducer.js`, which the shared cases hold to the same rules.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.cursor import Cursor, parse
from schemas.events import Prompt, decode_session_event
from schemas.transcript import Message, Outcome, Place, Transcript


@dataclass
class View:
    """`own`: what this client said and the log has not yet said anything about, with its state."""

    cursor: Cursor | None = None
    whole: bool = False
    broken: bool = False
    transcript: Transcript = field(default_factory=Transcript)
    ended: set[str] = field(default_factory=set)
    own: dict[str, str] = field(default_factory=dict)

    @property
    def resume_cursor(self) -> str | None:
        return str(self.cursor) if self.whole and not self.broken and self.cursor else None

    def submitted(self, message_id: str) -> None:
        if message_id not in self.transcript.messages and message_id not in self.ended:
            self.own[message_id] = "sending"

    def receive(self, data: bytes) -> tuple[str | None, list[str]]:
        """Take a frame; gives the message that it changed, and those to be sent again."""
        frame: dict[str, Any] = msgspec.json.decode(data)
        kind, state = frame["type"], frame.get("state")
        if kind == "status" and state == "connected":
            return None, self._connected(frame["recovered"] is True)
        if self.broken:
            return None, []
        if kind == "snapshot":
            return None, self._snapshot(frame)
        if kind == "status" and state == "accepted":
            if self.own.get(frame["message_id"]) not in (None, "ended"):
                self.own[frame["message_id"]] = "accepted"
        elif kind == "error" and "cursor" not in frame:
            unknown = frame["code"] == "outcome_unknown" and frame["message_id"] in self.own
            return None, [frame["message_id"]] if unknown else []
        elif "cursor" in frame:
            return self._from_log(frame, data), []
        return None, []

    def _connected(self, recovered: bool) -> list[str]:
        self.broken = False
        if recovered:
            return self._unsettled()
        self.whole, self.cursor = False, None
        self.transcript = Transcript()
        return []

    def _unsettled(self) -> list[str]:
        return [message_id for message_id, state in self.own.items() if state != "ended"]

    def _from_log(self, frame: dict[str, Any], data: bytes) -> str | None:
        cursor = parse(frame["cursor"])
        if self.cursor is not None:
            if (cursor.epoch, cursor.shard) != (self.cursor.epoch, self.cursor.shard):
                self.broken = True
                return None
            if cursor.offset <= self.cursor.offset:
                return None
        self.cursor = cursor
        event = decode_session_event(data)
        if event is None or event.message_id in self.ended:
            return None
        first = frame.get("first_sequence")
        place = Place(cursor.epoch, cursor.offset)
        outcome = self.transcript.apply(event, place, first)
        if outcome is Outcome.OVERLAP:
            self.broken = True
        elif outcome.counts:
            self.own.pop(event.message_id, None)
        return event.message_id if outcome.counts else None

    def _snapshot(self, frame: dict[str, Any]) -> list[str]:
        self.cursor, self.whole = parse(frame["cursor"]), True
        self.transcript = Transcript()
        self.ended = set(frame["ended"])
        for entry in frame["messages"]:
            messages = self.transcript.messages
            message = messages.setdefault(entry["message_id"], Message(entry["message_id"]))
            if entry["role"] == "user":
                message.prompt = Prompt(content=entry["content"], created_at=entry["created_at"])
                continue
            message.state, message.attempt = entry["state"], entry["attempt"]
            message.fence = tuple(entry["fence"]) if entry["fence"] else None
            message.last_sequence, message.damaged = entry["last_sequence"], entry["damaged"]
            message.released = entry["released"]
            message.contents = [entry["content"]] if entry["content"] else []
            self.own.pop(message.message_id, None)
        for message_id in self.own:
            if message_id in self.ended:
                self.own[message_id] = "ended"
        return self._unsettled()
