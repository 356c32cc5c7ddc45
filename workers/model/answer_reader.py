"""One model's answer out of the bytes of its stream: the text, how it ended, how it broke.

What comes after the finish reason can't hurt any more: a cut, garbage, or a missing [DONE]. What
came before a break in the same read was said, and is given first. Pure.
"""

from schemas.events import FinishReason, Usage
from workers.model.faults import FaultKind, ModelFault, fault
from workers.model.sse import EventReader, EventTooLong, ServerEvent
from workers.model.stream_events import UnreadableEvent, read_event

EVENT_MAX_BYTES = 1 << 20
_DONE = b"[DONE]"


class AnswerReader:
    """The state of one answer. After `done` or `broken` there is nothing more to read."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.done = False
        self.broken: ModelFault | None = None
        self.broken_off: str | None = None  # why the rest of the text is missing
        self.alive = False  # whether the last read held a sign of life
        self._any_text = False
        self._events = EventReader(event_max_bytes=EVENT_MAX_BYTES)

    def receive(self, data: bytes) -> str:
        """The text that these bytes bring (often none)."""
        self.alive = False
        contents: list[str] = []
        try:
            for event in self._events.receive(data):
                contents.append(self._take(event))
                if self.done or self.broken is not None:
                    break
        except (EventTooLong, UnreadableEvent) as error:
            self._any_text = self._any_text or any(contents)
            self.lose(f"its stream can't be read: {error}")
        text = "".join(contents)
        self._any_text = self._any_text or bool(text)
        return text

    def end(self) -> str:
        """The stream has ended in order, with or without a finish reason. No more text."""
        self.done = True
        return ""

    def lose(self, why: str) -> None:
        """The rest of the stream is lost: over if there is text that stands, else broken."""
        if self.finish_reason is not None:
            self.done = True
        elif self._any_text:
            self.done, self.broken_off = True, why
        else:
            self.broken = fault(FaultKind.BAD_STREAM, f"the model said nothing: {why}")

    def _take(self, event: ServerEvent) -> str:
        if event.data.strip() == _DONE:
            self.done = True
            return ""
        said = read_event(event.data)
        if said.error is not None:
            if self.finish_reason is None:
                self.broken = fault(FaultKind.BAD_STREAM, f"the model told: {said.error}")
            return ""
        self.finish_reason = self.finish_reason or said.finish_reason
        self.usage = said.usage or self.usage
        self.alive = self.alive or said.alive
        return said.content
