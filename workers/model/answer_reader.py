"""One model's answer out of the bytes of its stream: the text, how it ended, how it broke.

A finish reason ends an answer only when no text follows it: some servers send one in every chunk,
or in the first. After a believed one nothing can hurt any more: a cut, garbage, an error, a missing
[DONE]. What came before a break in the same read was said, and is given first. A body that is a
JSON value instead of a stream is a whole answer, or an error. Pure.
"""

from collections.abc import Iterable

from schemas.events import FinishReason, Usage
from workers.model.faults import FaultKind, ModelFault, fault, fault_of_told
from workers.model.sse import BARE, ERROR, EventReader, EventTooLong, ServerEvent
from workers.model.stream_events import NOTHING, Said, UnreadableEvent, read_error, read_event

EVENT_MAX_BYTES = 1 << 20
BODY_MAX_BYTES = 4 << 20
_DONE = b"[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class AnswerReader:
    """The state of one answer. After `done` or `broken` there is nothing more to read."""

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.done = False
        self.broken: ModelFault | None = None
        self.broken_off: str | None = None  # why the rest of the text is missing
        self.alive = False
        """Whether the last read held a sign of life."""
        self.begun = False
        """Whether the answer has begun, or has ended without that."""
        self.over_soon = False
        """Whether only a count and [DONE] are to come, most likely."""
        self._any_text = False
        self._any_event = False
        self._finish_is_no_end = False  # text has followed one
        self._looked = False
        self._body: bytearray | None = None
        self._events = EventReader(event_max_bytes=EVENT_MAX_BYTES)

    def receive(self, data: bytes) -> str:
        """Give the text that these bytes bring (often none)."""
        self.alive = False
        if not self._looked:
            self._look(data)
        if self._body is None:
            return self._take_all(self._events.receive(data))
        self._body += data
        self.alive = True
        if len(self._body) > BODY_MAX_BYTES:
            self.lose(f"its body is longer than {BODY_MAX_BYTES} bytes")
        return ""

    def end(self) -> str:
        """Give the rest of the text: the stream has ended in order."""
        text = self._take_all(self._events.end() if self._body is None else _in_body(self._body))
        if self.broken is None:
            self.done = True
            if not self._any_event:
                told = "the model answered neither text nor an error"
                self.done, self.broken = False, fault(FaultKind.NO_STREAM, told)
        self.begun = True
        return text

    def lose(self, why: str) -> None:
        """End here, since the rest of the stream is lost: over if there is text, else broken."""
        self.begun = True
        if self._any_text:
            self.done = True
            if self.finish_reason is None or self._finish_is_no_end:
                self.finish_reason, self.broken_off = None, why
        else:
            self.broken = fault(FaultKind.BAD_STREAM, f"the model said nothing: {why}")

    def _look(self, data: bytes) -> None:
        """See by the first bytes whether this is a JSON body or a stream."""
        head = data.removeprefix(_BYTE_ORDER_MARK).lstrip()
        if head:
            self._looked = True
            if head[:1] in (b"{", b"["):
                self._body = bytearray()

    # -- events

    def _take_all(self, events: Iterable[ServerEvent]) -> str:
        contents: list[str] = []
        try:
            for event in events:
                contents.append(self._take(event))
                if self.done or self.broken is not None:
                    break
        except (EventTooLong, UnreadableEvent) as error:
            self._any_text = self._any_text or any(contents)
            self.lose(f"its stream can't be read: {error}")
        text = "".join(contents)
        self.begun = self.begun or bool(text) or self.alive or self.done or self.broken is not None
        return text

    def _take(self, event: ServerEvent) -> str:
        if event.data.strip() == _DONE:
            self._any_event = self.done = True
            return ""
        said = _read(event)
        if said is NOTHING:
            return ""
        self._any_event = True
        if said.error is not None:
            # A believed end stands, whatever is told after it.
            if not self._any_text or self.finish_reason is None or self._finish_is_no_end:
                self.broken = fault_of_told(said.error)
            return ""
        if said.content and self.finish_reason is not None:
            self._finish_is_no_end = True
        self.finish_reason = said.finish_reason or self.finish_reason
        self._any_text = self._any_text or bool(said.content)
        self.over_soon = (
            self.finish_reason is not None
            and self._any_text
            and not said.content
            and not self._finish_is_no_end
        )
        self.usage = said.usage or self.usage
        self.alive = self.alive or said.alive
        return said.content


def _read(event: ServerEvent) -> Said:
    """Read an event by its type; what is no chunk by its name is nothing, whatever it holds."""
    if event.type == ERROR:
        return Said(error=read_error(event.data))
    if event.type == "message":
        return read_event(event.data)
    try:
        said = read_event(event.data)
    except UnreadableEvent:
        return Said(error=read_error(event.data)) if event.type == BARE else NOTHING
    if said.error is not None or said.content or said.finish_reason or said.usage:
        return said
    # A line of JSON that is no chunk came instead of one: it says why.
    return Said(error=read_error(event.data)) if event.type == BARE else NOTHING


def _in_body(body: bytearray) -> list[ServerEvent]:
    """Give the values of a body: one, or one a line."""
    whole = bytes(body).removeprefix(_BYTE_ORDER_MARK)
    try:
        read_event(whole)
    except UnreadableEvent:
        return [ServerEvent(BARE, line.strip()) for line in whole.splitlines() if line.strip()]
    return [ServerEvent(BARE, whole)]
