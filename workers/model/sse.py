"""Server-Sent Events out of bytes, however they were cut, and however loosely they were written.

As the HTML standard has it: lines end in CR, LF or CRLF; `data` lines of one event are joined by
LF; comments, `id`, `retry` and unknown fields are skipped; one byte order mark at the start is
too. The bytes are not decoded here: an event is cut at line ends only, so a UTF-8 sequence is
always whole when it is looked at, and the JSON decoder can take the bytes as they are.

What servers do beside the standard is understood too:

* An event without its blank line counts when the stream ends in order (`end`), and when the next
  `data` line begins though this one is a whole JSON value already. (One of very many lines ends at
  its blank line only: each look reads all of it again.)
* `error: {…}` (llama.cpp) is an event of type `error`.
* A line that begins with `{` is an event of type `bare`: an error that came instead of a stream.

Pure. What is kept is bounded: a longer line or event is `EventTooLong`, at the same place of the
stream whatever the cuts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_ENDS = b"\r\n"
LOOKS_MAX = 32
"""So many lines of one event are tried as the last of a JSON value."""
BARE = "bare"
ERROR = "error"


class ServerEvent(NamedTuple):
    """One event: its type (`message` unless it says otherwise) and its data."""

    type: str
    data: bytes


class EventTooLong(ValueError):
    """The stream holds a line or an event over the bound: it can't be read any further."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"a server-sent event is longer than {max_bytes} bytes")
        self.max_bytes = max_bytes


class EventReader:
    """Takes the bytes of one stream as they come and gives its events."""

    def __init__(self, *, event_max_bytes: int) -> None:
        self._max_bytes = event_max_bytes
        self._pending = bytearray()  # the line that has not ended yet
        self._after_cr = False  # an LF now belongs to the CR before it
        self._at_start = True
        self._type = ""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._looks_left = LOOKS_MAX

    def receive(self, data: bytes) -> Iterator[ServerEvent]:
        """Give the events that end in `data`; to be taken to the end before the next call.

        Raises EventTooLong behind the last event before it.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if not data:
            return
        # For bytes these are exactly CR, LF and CRLF.
        lines = data.splitlines()
        rest = b"" if data[-1] in _LINE_ENDS else lines.pop()
        self._after_cr = data.endswith(b"\r")
        if lines and self._pending:
            lines[0] = bytes(self._pending) + lines[0]
            self._pending.clear()
        for line in lines:
            if len(line) > self._max_bytes:
                raise EventTooLong(self._max_bytes)
            if line[:6] == b"data: " and not self._data and not self._at_start:
                self._add_data(line[6:])  # nearly every line is this one or a blank one
            elif not line and len(self._data) == 1 and not self._type:
                yield ServerEvent("message", self._data[0])
                self._reset()
            else:
                yield from self._line(line)
        self._pending += rest
        if len(self._pending) > self._max_bytes:
            raise EventTooLong(self._max_bytes)

    def end(self) -> Iterator[ServerEvent]:
        """Give what had not ended when the stream did, in order."""
        if self._pending:
            line = bytes(self._pending)
            self._pending.clear()
            yield from self._line(line)
        yield from self._end_of_event()

    def _line(self, line: bytes) -> Iterator[ServerEvent]:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            yield from self._end_of_event()
            return
        if line[:1] == b"{":
            yield from self._end_of_event()
            yield ServerEvent(BARE, line)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if self._data and self._data[-1].endswith((b"}", b"]")) and self._looks_left:
                self._looks_left -= 1
                if _whole(b"\n".join(self._data)):
                    yield from self._end_of_event()
            self._add_data(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"error":
            self._type = ERROR
            self._add_data(value)

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._max_bytes:
            raise EventTooLong(self._max_bytes)

    def _end_of_event(self) -> Iterator[ServerEvent]:
        if self._data:
            yield ServerEvent(self._type or "message", b"\n".join(self._data))
        self._reset()

    def _reset(self) -> None:
        self._type = ""
        self._data = []
        self._data_bytes = 0
        self._looks_left = LOOKS_MAX


def _whole(data: bytes) -> bool:
    """Say whether the data is a whole JSON value by itself, so that no line is missing."""
    if data == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
