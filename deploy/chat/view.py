"""What one client believes: server frames in order of receipt -> the view of a session. Pure.

The same reducer as `gateway/page/reducer.js`, held to it by the cases in schemas/vectors/frames-*.
Order is everything: a frame at or before the last cursor is a repeat; after `connected` that did
not recover, the fold starts empty and there is nothing to resume with until the snapshot has come;
`ended` names messages that are over but not shown, so that a late start does not revive them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from schemas.cursor import BadCursor, Cursor, parse
from schemas.events import Error, Prompt, UndecodableEvent, decode_session_event
from schemas.frames import AS_IN_THE_FOLD, SnapshotAnswer
from schemas.transcript import Forgotten, Message, Outcome, Place, Transcript

Submit = Literal["sending", "accepted", "unknown", "failed", "ended"]


@dataclass(slots=True)
class Own:
    """A message of this client of which the log has said nothing yet."""

    message_id: str
    content: str
    submit: Submit = "sending"
    problem: str | None = None


@dataclass(slots=True)
class View:
    """One session as this client sees it.

    `joined`: the view is the whole, by a snapshot or an exact resume. `broken`: something can't be
    put in its place; connect again, without a cursor.
    """

    cursor: Cursor | None = None
    joined: bool = False
    broken: bool = False
    history_missing: bool = False
    transcript: Transcript = field(default_factory=Transcript)
    own: dict[str, Own] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    waits: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of a message for which no worker has room: its place and the milliseconds, as reckoned."""
    erased: int = 0
    """How often this client has seen that the session was forgotten."""

    def resume_cursor(self) -> str | None:
        """The cursor to connect with; None: the gateway answers with a snapshot."""
        return str(self.cursor) if self.joined and not self.broken and self.cursor else None

    def submitted(self, message_id: str, content: str) -> None:
        """Note a message that is about to be sent; the same id again is the same message."""
        if message_id not in self.transcript.messages and message_id not in self.ended:
            self.own[message_id] = Own(message_id, content)

    def unsettled(self) -> list[Own]:
        """Own messages that are sent again whenever this client knows where it stands."""
        return [own for own in self.own.values() if own.submit not in ("failed", "ended")]

    def expects_news(self) -> bool:
        """Whether something must come soon: a message has not ended, or nothing was said of it."""
        messages = self.transcript.messages.values()
        return bool(self.unsettled()) or not all(message.terminal for message in messages)

    def over(self, message_id: str) -> bool:
        """Whether nothing will come of the message any more (its text may not be held here)."""
        message = self.transcript.messages.get(message_id)
        own = self.own.get(message_id)
        return (
            message_id in self.ended
            or (message is not None and message.terminal)
            or (own is not None and own.submit == "failed")
        )

    def receive(self, frame: Mapping[str, Any]) -> list[str]:
        """Take the next frame; give the ids of own messages to send again now."""
        kind, state = frame.get("type"), frame.get("state")
        if kind == "status" and state == "connected":
            return self._connected(frame)
        if self.broken:
            return []
        if kind == "snapshot":
            return self._snapshot(frame)
        if kind == "status" and state == "accepted":
            self._accepted(str(frame.get("message_id")))
        elif kind == "status" and state == "queued" and "cursor" not in frame:
            self.waits[str(frame.get("message_id"))] = (frame["position"], frame["eta_ms"])
        elif kind == "status" and state == "history_unavailable":
            self.history_missing = True
        elif isinstance(frame.get("cursor"), str):
            self._from_log(frame)
        elif kind == "error":
            return self._refused(frame)
        return []

    def _connected(self, frame: Mapping[str, Any]) -> list[str]:
        self.broken = self.history_missing = False
        if frame.get("recovered") is True:
            return [own.message_id for own in self.unsettled()]
        self.joined, self.cursor = False, None
        # `ended` stays until the next snapshot: what is over stays over, what is gone stays gone.
        self.transcript = Transcript(forgotten=self.transcript.forgotten)
        return []

    def _snapshot(self, frame: Mapping[str, Any]) -> list[str]:
        messages: dict[str, Message] = {}
        for entry in frame.get("messages", ()):
            message_id = entry["message_id"]
            messages[message_id] = _with_entry(messages.get(message_id), entry)
        self.cursor, self.joined, self.history_missing = _cursor(frame["cursor"]), True, False
        known, forgotten = self.transcript.forgotten, self._forgotten(frame)
        if forgotten is not None and (known is None or known.said_before < forgotten.said_before):
            # If it was said since, the log brings it.
            self._erase(own.message_id for own in self.own.values() if own.submit == "accepted")
        self.transcript = Transcript(messages=messages, forgotten=forgotten)
        self.ended = set(frame.get("ended", ()))
        for message_id in list(self.own):
            if message_id in messages:
                del self.own[message_id]
            elif message_id in self.ended:
                self.own[message_id].submit = "ended"
        return [own.message_id for own in self.unsettled()]

    def _accepted(self, message_id: str) -> None:
        own = self.own.get(message_id)
        if own is not None and own.submit != "ended":
            own.submit, own.problem = "accepted", None

    def _refused(self, frame: Mapping[str, Any]) -> list[str]:
        own, code = self.own.get(str(frame.get("message_id"))), frame.get("code")
        if own is None or own.submit == "ended":
            return []
        # These two codes answer a cancel as well. A cancel that came to nothing is no failure of
        # the message.
        if code == "nothing_to_cancel" or (code == "unsupported" and own.submit == "accepted"):
            return []
        own.problem = f"{code}: {frame.get('message')}"
        own.submit = "unknown" if code == "outcome_unknown" else "failed"
        return [own.message_id] if own.submit == "unknown" else []

    def _from_log(self, frame: Mapping[str, Any]) -> None:
        cursor = _cursor(frame["cursor"])
        if cursor is None or (self.cursor is not None and not _same_log(cursor, self.cursor)):
            self.broken = True
            return
        if self.cursor is not None and cursor.offset <= self.cursor.offset:
            return
        self.cursor = cursor
        message_id = frame.get("message_id")
        if message_id in self.ended:
            return
        try:
            event = decode_session_event(msgspec.json.encode(frame))
        except UndecodableEvent:
            return
        if event is None:
            return
        place = Place(cursor.epoch, cursor.offset)
        outcome = self.transcript.apply(event, place, frame.get("first_sequence"))
        if outcome is Outcome.OVERLAP:
            self.broken = True
        if outcome.counts:
            self._settle(event.message_id)
        elif outcome is Outcome.FORGOTTEN:
            # Its own messages too: the log may have had them already.
            self._erase(self.own)
            self.ended.clear()
            self.waits.clear()

    def _erase(self, own: Iterable[str]) -> None:
        """Wait for nothing any more that was said before the session was forgotten."""
        self.erased += 1
        for message_id in list(own):
            del self.own[message_id]

    def _forgotten(self, snapshot: Mapping[str, Any]) -> Forgotten | None:
        said_before = snapshot.get("forgotten_before")
        if said_before is None or self.cursor is None:
            return None
        epoch, offset = self.cursor.epoch, self.cursor.offset
        return Forgotten(Place(epoch, offset), Place(epoch, said_before))

    def _settle(self, message_id: str) -> None:
        """The log has said something about it: it is no longer this client's own concern."""
        own = self.own.pop(message_id, None)
        message = self.transcript.messages[message_id]
        if own is not None and message.prompt is None:
            message.prompt = Prompt(content=own.content, created_at="")


def _same_log(one: Cursor, other: Cursor) -> bool:
    return (one.epoch, one.shard) == (other.epoch, other.shard)


def _cursor(text: str) -> Cursor | None:
    try:
        return parse(text)
    except BadCursor:
        return None


_TYPES = {field.name: field.type for field in msgspec.structs.fields(SnapshotAnswer)}


def _with_entry(known: Message | None, entry: Mapping[str, Any]) -> Message:
    """One entry of a snapshot: what the user said, or the answer's state so far."""
    message = known or Message(entry["message_id"])
    if entry.get("role") == "user":
        created_at = entry.get("created_at") or ""
        message.prompt = Prompt(content=entry.get("content", ""), created_at=created_at)
        if known is not None:
            return message
    else:
        message.contents = [entry.get("content") or ""]
        message.reasoning_contents = [entry.get("reasoning") or ""]
        message.error = _error(entry)
    for name in AS_IN_THE_FOLD:
        if name in entry:
            setattr(message, name, _value(name, entry[name]))
    return message


def _value(name: str, value: Any) -> Any:
    """Give the fold's value for JSON's; a word of a later version is taken as it is."""
    return msgspec.convert(value, _TYPES[name]) if isinstance(value, dict | list) else value


def _error(entry: Mapping[str, Any]) -> Error | None:
    code = entry.get("code") or entry.get("error_code")
    if code is None:
        return None
    return Error(
        session_id="-",  # a snapshot is of one session and does not repeat it
        message_id=entry["message_id"],
        created_at="",
        attempt=entry.get("attempt"),
        code=code,
        message=entry.get("message") or "",
        retryable=bool(entry.get("retryable")),
    )
