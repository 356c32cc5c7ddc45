"""One call of a model: opened, read delta by delta, closed.

Each wait has its limit: from asking to the first sign of life, then from one sign to the next,
and the whole. Only time spent waiting for the model counts towards the first two, so that a
reader that pauses (because its own sends are slow) does not blame the model.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import aiohttp
import httpx2
import msgspec

from schemas.events import FinishReason, Usage
from workers.model.answer_reader import AnswerReader
from workers.model.faults import FaultKind, fault
from workers.model.transport import body_of

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


class Finished(msgspec.Struct, frozen=True):
    """The stream has ended. No reason: it just stopped. No usage: the model did not tell.

    `broken_off` says why when it did not stop in order (cut, unreadable); the text stands.
    """

    finish_reason: FinishReason | None
    usage: Usage | None
    broken_off: str | None = None


Delta = Text | Finished


class StreamLimits(NamedTuple):
    """The limits of one call; `whole_at` is on the loop's clock."""

    first_token_s: float
    idle_s: float
    whole_at: float


class ModelStream:
    """An async iterator: Text, Text, …, Finished. Raises ModelFault."""

    def __init__(
        self, send: Callable[[], Awaitable[httpx2.Response]], limits: StreamLimits
    ) -> None:
        self._send = send
        self._response: httpx2.Response | None = None
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._reader = AnswerReader()
        self._first = ""  # text that came while it was opened
        # The limit of the next wait: which one, and what is left of it.
        self._limit = FaultKind.FIRST_TOKEN_TIMEOUT
        self._left_s = limits.first_token_s
        self._finished = False

    async def open(self) -> None:
        """Send the request and wait until the answer begins. Raises the libraries' errors too."""
        began = self._now()
        try:
            async with asyncio.timeout_at(self._wait_ends_at()):
                await self._open()
        except TimeoutError as error:
            raise self._timed_out() from error
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
                data = await self._body.wait()
            except _LOST as error:
                if not any_byte:
                    raise
                reader.lose(f"{type(error).__name__}: {error}")
                break
            if data is None and not any_byte:
                raise fault(FaultKind.UNREACHABLE, "the model's answer was empty")
            any_byte = any_byte or bool(data)
            self._first += reader.end() if data is None else reader.receive(data)
        if reader.broken is not None and not self._first:
            raise reader.broken
        self._set_limit()

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        reader = self._reader
        if self._first:
            first, self._first = self._first, ""
            return Text(first)
        while not reader.done and reader.broken is None:
            data = await self._next()
            text = reader.receive(data) if data is not None else reader.end()
            self._set_limit()
            if text:
                return Text(text)
        if reader.broken is not None:
            raise reader.broken
        if self._finished:
            raise StopAsyncIteration
        self._finished = True
        return Finished(reader.finish_reason, reader.usage, reader.broken_off)

    async def _next(self) -> bytes | None:
        """The next bytes, or None when there will be no more."""
        began = self._now()
        try:
            async with asyncio.timeout_at(self._wait_ends_at()):
                data = await self._body.wait()
        except TimeoutError as error:
            if self._reader.finish_reason is not None:
                return None
            raise self._timed_out() from error
        except _LOST as error:
            self._reader.lose(f"{type(error).__name__}: {error}")
            return b""
        self._left_s -= self._now() - began
        return data

    def _set_limit(self) -> None:
        if self._reader.over_soon:
            if self._limit is not FaultKind.WHOLE_TIMEOUT:
                self._limit, self._left_s = FaultKind.WHOLE_TIMEOUT, _AFTER_FINISH_S
        elif self._reader.alive:
            self._limit, self._left_s = FaultKind.IDLE_TIMEOUT, self._limits.idle_s

    def _wait_ends_at(self) -> float:
        return min(self._now() + self._left_s, self._limits.whole_at)

    def _timed_out(self) -> Exception:
        whole = self._now() >= self._limits.whole_at
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
