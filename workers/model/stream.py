"""One call of a model: opened, read delta by delta without waiting, closed.

There are three limits: from asking to the first sign of life, then from one sign to the next, and
the whole. Only time in which the model was waited for counts towards the first two, so that a
reader that pauses (because its own sends are slow) does not blame the model.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import groupby
from typing import NamedTuple, Protocol

import aiohttp
import httpx2
import msgspec

from schemas.events import FinishReason, Usage
from workers.model.answer_reader import AnswerReader
from workers.model.faults import FaultKind, fault
from workers.model.transport import body_of

MOMENT_BYTES = 16 << 10
"""Some ninety tokens. A model that says all at once stops the loop for two milliseconds each tick,
not for a tenth of a second; a stream is read with three thousand tokens a second all the same."""
_AFTER_FINISH_S = 2.0  # the usage comes after the finish reason, or never
_DRAIN_S = 0.1
_CLOSE_S = 0.4
_READABLE = frozenset(
    {"", "text/event-stream", "text/plain", "application/json", "application/x-ndjson",
     "application/jsonl", "application/octet-stream", "application/stream+json"}
)  # fmt: skip
"""Under these names a stream or a JSON body may come; the bytes tell which it is."""
_LOST = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError)


class Text(msgspec.Struct, frozen=True):
    """What one read of the model brought of the answer, never empty."""

    content: str


class Reasoning(msgspec.Struct, frozen=True):
    """The same of what it thought aloud."""

    content: str


class Finished(msgspec.Struct, frozen=True):
    """The stream has ended. No reason: it just stopped. No usage: the model did not tell.

    `broken_off` says why when it did not stop in order (cut, unreadable); the text stands.
    """

    finish_reason: FinishReason | None
    usage: Usage | None
    broken_off: str | None = None
    tool_calls: int = 0


Delta = Text | Reasoning | Finished


class Deltas(Protocol):
    """What a model says, read without waiting."""

    @property
    def is_backlogged(self) -> bool:
        """Whether more may have come than was read: a moment has its share."""

    def read(self, now_s: float) -> Delta | None:
        """Give what has come since, without waiting. Raises ModelFault."""


class StreamLimits(NamedTuple):
    """The limits of one call; `whole_at` is on the loop's clock."""

    first_token_s: float
    idle_s: float
    whole_at: float


class ModelStream:
    """After `open` it gives Text, Reasoning, Text, …, Finished. Raises ModelFault."""

    def __init__(
        self, send: Callable[[], Awaitable[httpx2.Response]], limits: StreamLimits
    ) -> None:
        self._send = send
        self._response: httpx2.Response | None = None
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._reader = AnswerReader()
        self._ready: deque[Text | Reasoning] = deque()
        """What has come and was not given yet."""
        # The limit of the next wait: which one, and what is left of it.
        self._limit = FaultKind.FIRST_TOKEN_TIMEOUT
        self._left_s = limits.first_token_s
        self._moment_s, self._moment_bytes = float("-inf"), 0
        """The moment of the last read, and what may still be read in it."""
        self._waits_since_s: float | None = None
        """When it was last seen that the model has said nothing new."""

    async def open(self) -> None:
        """Send the request and wait until the answer begins. Raises the libraries' errors too."""
        began = self._now()
        try:
            limit_s = min(began + self._left_s, self._limits.whole_at)
            async with asyncio.timeout_at(limit_s):
                await self._open()
        except TimeoutError as error:
            raise self._timed_out(self._now()) from error
        self._left_s -= self._now() - began

    async def _open(self) -> None:
        self._response = response = await self._send()
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _READABLE:
            raise fault(FaultKind.NO_STREAM, f"the model answered {kind}, not a stream")
        self._body = body_of(response)
        reader = self._reader
        any_byte = False
        # Until the answer has begun nobody has read of it: another call may be made instead.
        while not reader.begun:
            try:
                data = await self._body.wait(MOMENT_BYTES)
            except _LOST as error:
                if not any_byte:
                    raise
                reader.lose(f"{type(error).__name__}: {error}")
                break
            if data is None and not any_byte:
                raise fault(FaultKind.UNREACHABLE, "the model's answer was empty")
            any_byte = any_byte or bool(data)
            self._take(data)
        if reader.broken is not None and not any(isinstance(each, Text) for each in self._ready):
            raise reader.broken
        self._set_limit()

    def read(self, now_s: float) -> Delta | None:
        """Give what has come since, without waiting. None: nothing new. Time is the loop's.

        Of one moment no more than MOMENT_BYTES are read.
        """
        if now_s != self._moment_s:
            self._moment_s, self._moment_bytes = now_s, MOMENT_BYTES
        reader = self._reader
        if not self._ready and not reader.done and reader.broken is None:
            self._receive(now_s)
        if self._ready:
            return self._ready.popleft()
        if reader.broken is not None:
            raise reader.broken
        if reader.done:
            return Finished(
                reader.finish_reason, reader.usage, reader.broken_off, reader.tool_calls
            )
        return None

    @property
    def is_backlogged(self) -> bool:
        """Whether more may have come than was read: a moment has its share."""
        return not self._moment_bytes

    def _receive(self, now_s: float) -> None:
        if now_s >= self._limits.whole_at:
            self._give_up(now_s)
            return
        if not self._moment_bytes:
            return  # there may be more: that is no silence
        try:
            data = self._body.read_now(self._moment_bytes)
        except _LOST as error:
            self._reader.lose(f"{type(error).__name__}: {error}")
            return
        if data is None:
            self._take(None)
            return
        if data:
            self._moment_bytes -= len(data)
            self._take(data)
            if self._set_limit():
                self._waits_since_s = None
        if not self._ready:
            self._wait_on(now_s)

    def _take(self, data: bytes | None) -> None:
        """Read these bytes, or that there are no more; neighbours of one kind become one delta."""
        if data is None:
            self._reader.end()
        else:
            self._reader.receive(data)
        for is_reasoning, pieces in groupby(self._reader.pieces, key=lambda piece: piece[0]):
            content = "".join(piece.content for piece in pieces)
            self._ready.append(Reasoning(content) if is_reasoning else Text(content))

    def _wait_on(self, now_s: float) -> None:
        """Count the time since it was last seen that nothing is there: the model's silence."""
        if self._waits_since_s is not None:
            self._left_s -= now_s - self._waits_since_s
        self._waits_since_s = now_s
        if self._left_s <= 0:
            self._give_up(now_s)

    def _give_up(self, now_s: float) -> None:
        if self._reader.finish_reason is None:
            raise self._timed_out(now_s)
        self._take(None)

    def _set_limit(self) -> bool:
        """Set the limit of the next wait by what was read; says whether it begins anew."""
        if self._reader.over_soon:
            if self._limit is FaultKind.WHOLE_TIMEOUT:
                return False
            self._limit, self._left_s = FaultKind.WHOLE_TIMEOUT, _AFTER_FINISH_S
            return True
        if self._reader.alive:
            self._limit, self._left_s = FaultKind.IDLE_TIMEOUT, self._limits.idle_s
        return self._reader.alive

    def _timed_out(self, now_s: float) -> Exception:
        whole = now_s >= self._limits.whole_at
        kind = FaultKind.WHOLE_TIMEOUT if whole else self._limit
        return fault(kind, f"the model was too slow: limit {kind.value}")

    async def close(self) -> None:
        """Close the call, and its connection unless it was read to the end. Never raises."""
        if self._response is None:
            return
        if self._reader.done:
            # Behind [DONE] is the end of the body; once that is read, the connection can be used
            # again. It is there already, or it is not worth waiting for.
            with suppress(TimeoutError, *_LOST):
                async with asyncio.timeout(_DRAIN_S):
                    await self._body.wait()
        with suppress(TimeoutError, *_LOST):
            async with asyncio.timeout(_CLOSE_S):
                await self._response.aclose()
