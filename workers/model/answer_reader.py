"""One model's answer out of the bytes of its stream: the text, how it ended, how it broke.

Beside the text is what the model has thought aloud, by whatever name (`pieces`).

A finish reason ends an answer only when no text follows it: some servers send one in every chunk,
or in the first. After a believed one nothing can hurt any more: a cut, garbage, an error, a missing
[DONE]. What came before a break in the same read was said, and is given first. A body that is a
JSON value instead of a stream is a whole answer, or an error. Pure.
"""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.events import FinishReason, Usage
from schemas.limits import REASONING_MAX_BYTES
from workers.model.faults import FaultKind, ModelFault, fault
from workers.model.refusals import fault_of_told
from workers.model.sse import BARE, ERROR, EventReader, EventTooLong, ServerEvent
from workers.model.stream_events import (
    NOTHING,
    Said,
    ToolCall,
    UnreadableEvent,
    read_error,
    read_event,
)
from workers.model.think_tags import ThinkTags

EVENT_MAX_BYTES = 1 << 20
BODY_MAX_BYTES = 4 << 20
TOOL_CALLS_MAX = 1000
"""So many are counted."""
_DONE = b"[DONE]"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Piece(NamedTuple):
    """A piece of the text or, if it says so, of the reasoning; never empty."""

    is_reasoning: bool
    content: str


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
        self.pieces: list[Piece] = []
        """What the last read brought, in order."""
        self._any_text = False
        self._any_reasoning = False
        self._reasoning_left = REASONING_MAX_BYTES
        self._tags = ThinkTags()
        self.tool_calls = 0
        """How many tools the model has called for."""
        self._calls: set[str | int] = set()
        self._any_event = False
        self._finish_is_no_end = False  # text has followed one
        self._looked = False
        self._marked: bytes | None = b""
        """What has come of a byte order mark; None behind the place where one may be."""
        self._body: bytearray | None = None
        self._events = EventReader(event_max_bytes=EVENT_MAX_BYTES)

    def receive(self, data: bytes) -> str:
        """Give the text that these bytes bring (often none)."""
        self.alive = False
        self.pieces = []
        if not self._looked:
            data = self._look(data)
        if self._body is None:
            return self._take_all(self._events.receive(data))
        self._body += data
        self.alive = True
        if len(self._body) > BODY_MAX_BYTES:
            self.lose(f"its body is longer than {BODY_MAX_BYTES} bytes")
        return ""

    def end(self) -> str:
        """Give the rest of the text: the stream has ended in order."""
        self.pieces = []
        # A mark that was never whole is text like any other: there is nothing else.
        text = self._take_all(self._events.receive(self._marked or b""))
        text += self._take_all(self._events.end() if self._body is None else _in_body(self._body))
        if not self.done:
            text += self._split(*self._tags.end())
        if self.broken is None:
            self.done = True
            if not self._any_event:
                told = "the model answered neither text nor an error"
                self.done, self.broken = False, fault(FaultKind.NO_STREAM, told)
        self.begun = True
        return text

    def lose(self, why: str) -> None:
        """End here, since the rest of the stream is lost: over if there is text, else broken.

        Over as well if the model has only thought, and said that this is the end.
        """
        self.begun = True
        believed = self.finish_reason is not None and not self._finish_is_no_end
        if self._any_text or (self._any_reasoning and believed):
            self.done = True
            if not believed:
                self.finish_reason, self.broken_off = None, why
        else:
            self.broken = fault(FaultKind.BAD_STREAM, f"the model said nothing: {why}")

    def _look(self, data: bytes) -> bytes:
        """See by the first bytes whether this is a JSON body or a stream; give what is to be read.

        Part of a byte order mark tells nothing yet: it waits for the rest.
        """
        head = data
        if self._marked is not None:
            data = self._marked + data
            if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
                self._marked = data
                return b""
            self._marked = None
            head = data.removeprefix(_BYTE_ORDER_MARK)
        if head := head.lstrip():
            self._looked = True
            if head[:1] in (b"{", b"["):
                self._body = bytearray()
        return data

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
            return self._split(*self._tags.end())
        said = _read(event)
        if said is NOTHING:
            return ""
        self._any_event = True
        if said.is_text and self.finish_reason is None:
            return self._take_text(said.content)
        if said.error is not None:
            # A believed end stands, whatever is told after it.
            if (
                not (self._any_text or self._any_reasoning)
                or self.finish_reason is None
                or self._finish_is_no_end
            ):
                self.broken = fault_of_told(said.error)
            return ""
        if (said.content or said.reasoning) and self.finish_reason is not None:
            self._finish_is_no_end = True
        self.finish_reason = said.finish_reason or self.finish_reason
        text = self._split(said.reasoning, "")
        if said.content:
            text = self._split(*self._tags.take(said.content))
        self._count(said.tool_calls)
        self.over_soon = (
            self.finish_reason is not None
            and (self._any_text or self._any_reasoning)
            and not said.content
            and not said.reasoning
            and not self._finish_is_no_end
        )
        self.usage = said.usage or self.usage
        self.alive = self.alive or said.alive
        return text

    def _take_text(self, content: str) -> str:
        """Take an event of text and nothing else, before any finish reason: nearly every one."""
        self.over_soon = False
        self.alive = True
        reasoning, text = self._tags.take(content)
        if reasoning or not text:
            return self._split(reasoning, text)
        self._any_text = True
        self.pieces.append(Piece(False, text))
        return text

    def _split(self, reasoning: str, text: str) -> str:
        """Note what was thought and, after it, said; give what was said."""
        self._any_reasoning = self._any_reasoning or bool(reasoning)
        self._any_text = self._any_text or bool(text)
        if len(reasoning) * 4 > self._reasoning_left:
            reasoning = reasoning.encode()[: self._reasoning_left].decode(errors="ignore")
        self._reasoning_left -= len(reasoning.encode())
        for is_reasoning, content in ((True, reasoning), (False, text)):
            if content:
                self.pieces.append(Piece(is_reasoning, content))
        return text

    def _count(self, calls: Iterable[ToolCall]) -> None:
        """Count a call by its id, or by its index if its pieces have none."""
        for call in calls:
            if self.tool_calls < TOOL_CALLS_MAX:
                name = call.index if call.id is None else call.id
                self.tool_calls += name not in self._calls
                self._calls |= {name, call.index}


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
    if said.error is not None or said.content or said.reasoning:
        return said
    if said.finish_reason or said.usage:
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
