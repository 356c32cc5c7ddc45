"""The life of one answer: start, history, model, chunks, one terminal.

`generating` is acknowledged before anything else of the message is touched. Two tasks follow: one
reads the model into a bounded text, one writes chunks and, at last, exactly one terminal. However
it ends (end of the model, fault, stop, failed send, drain), it ends with a record in the log:

* a terminal, sent again until it is acknowledged;
* `released`, when a send failed or the process drains: the attempt is over without a result, and
  the owner of the shard starts another one;
* or nothing, when another attempt has taken its place: nobody listens any more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Literal, Protocol

import structlog

from schemas.events import (
    ErrorCode,
    Event,
    FinishReason,
    StopReason,
    Timing,
    Usage,
    encode,
)
from schemas.limits import ALIVE_EVERY_S, ANSWER_MAX_BYTES
from schemas.log.producer import Headers, SendFailed
from schemas.topics import HEADERS, SESSION_LOG
from workers.attempt import events_out
from workers.attempt.pacing import Pacing
from workers.history.prompt import ChatMessage, Turn, build_prompt, estimate_usage
from workers.intake.actions import AttemptEnd, Start
from workers.model.faults import ModelFault
from workers.model.stream import Finished, Piece

log = structlog.get_logger(__name__)

SEND_AGAIN_FIRST_S = 0.2
SEND_AGAIN_MAX_S = 5.0


class Sender(Protocol):
    """Writes a record and waits for the broker. Raises SendFailed."""

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        """Give the record's offset."""


class Asked(Protocol):
    """A model. Raises ModelFault."""

    def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        """Ask, and read the pieces."""


@dataclass(frozen=True, slots=True)
class KnownTurns:
    """A session's history; not `full` if a part of it could not be had."""

    turns: Sequence[Turn]
    full: bool


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """What all answers of a process share."""

    worker: str
    model: str
    system_prompt: str
    budget_tokens: int
    max_tokens: int
    chunk_every_s: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How the text ends, whoever decided it."""

    finish_reason: FinishReason | None = None
    error: tuple[ErrorCode, str, bool] | None = None
    usage: Usage | None = None


Over = Literal["abandoned", "released"]


class Answer:
    """One attempt. `run` once; `stop`, `release` and `abandon` may come at any time."""

    def __init__(
        self,
        start: Start,
        *,
        settings: AnswerSettings,
        sender: Sender,
        model: Asked,
        turns: Callable[[str], Awaitable[KnownTurns]],
        on_started: Callable[[], None],
        on_chunk: Callable[[], None] = lambda: None,
    ) -> None:
        self._start = start
        self._settings = settings
        self._sender = sender
        self._model = model
        self._turns = turns
        self._on_started = on_started
        self._on_chunk = on_chunk
        self._model_name = start.message.model or settings.model
        self._headers: Headers = list(HEADERS)
        if start.traceparent is not None:
            self._headers.append(("traceparent", start.traceparent))
        self._key = start.message.session_id.encode()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ending: Ending | None = None
        self._over: Over | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told: list[str] = []
        self._told_bytes = 0
        self._prompt: Sequence[ChatMessage] = ()
        self._full_history = True
        self._sequence = 0
        self._began = time.monotonic()
        self._pacing = Pacing(
            self._began, chunk_every_s=settings.chunk_every_s, alive_after_s=ALIVE_EVERY_S
        )
        self._first_token_ms: int | None = None

    # -- what others ask for

    def stop(self, reason: StopReason) -> None:
        """End it as cancelled or interrupted, keeping its text; the model is let go at once."""
        self._end(Ending("cancelled" if reason == "cancel" else "interrupted"))
        self._stop_reading()

    def release(self) -> None:
        """End the attempt without a result."""
        self._end_over("released")

    def abandon(self) -> None:
        """Write no more: nobody listens to this attempt."""
        self._end_over("abandoned")

    def _end_over(self, over: Over) -> None:
        self._over = over
        self._stop_reading()
        self._changed.set()

    def _end(self, ending: Ending) -> None:
        # The first end wins: a cancel that comes after the model's end changes nothing.
        if self._ending is None:
            self._ending = ending
            self._pacing.end()
        self._changed.set()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    # -- its life

    async def run(self) -> tuple[AttemptEnd, int | None]:
        """Answer; gives how it ended and the offset of its last record."""
        try:
            await self._send(
                events_out.generating(
                    self._start,
                    model=self._model_name,
                    worker=self._settings.worker,
                    created_at=now_text(),
                )
            )
        except SendFailed as error:
            # It may be in the log all the same: `released` ends it if it is, and is ignored if not.
            self._failed(error)
        else:
            self._pacing.alive_sent(time.monotonic())
            self._on_started()
            await self._answer()
        if self._over is None:
            offset = await self._insist(self._terminal())
            if offset is not None:
                return AttemptEnd.TERMINAL, offset
        if self._over == "released":
            released = events_out.status(self._start, "released", now_text())
            return AttemptEnd.RELEASED, await self._insist(released)
        return AttemptEnd.ABANDONED, None

    async def _answer(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._reading = group.create_task(self._read())
            try:
                await self._write()
            except SendFailed as error:
                self._failed(error)
            finally:
                self._reading.cancel()

    def _failed(self, error: SendFailed) -> None:
        log.warning("send failed", session=self._start.message.session_id, error=str(error))
        self._over = self._over or "released"

    async def _insist(self, event: Event) -> int | None:
        """Send until it is acknowledged, or this attempt is abandoned."""
        wait_s = SEND_AGAIN_FIRST_S
        while self._over != "abandoned":
            try:
                return await self._send(event)
            except SendFailed as error:
                log.warning("send failed, again", error=str(error), after_s=wait_s)
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                wait_s = min(2 * wait_s, SEND_AGAIN_MAX_S)
        return None

    # -- reading the model

    async def _read(self) -> None:
        try:
            await self._read_model()
        except ModelFault as fault:
            self._end(Ending(error=(fault.code, fault.message, fault.retryable)))
        except Exception as error:
            log.exception("answer failed", session=self._start.message.session_id)
            self._end(Ending(error=("internal", f"{type(error).__name__} in the worker", True)))

    async def _read_model(self) -> None:
        message, settings = self._start.message, self._settings
        known = await self._turns(message.session_id)
        self._full_history = known.full
        self._prompt = build_prompt(
            system=settings.system_prompt,
            history=known.turns,
            message_id=message.message_id,
            content=message.content,
            budget_tokens=settings.budget_tokens,
        )
        asked = self._model.stream(
            self._prompt, model=self._model_name, max_tokens=settings.max_tokens
        )
        async with asked as pieces:
            async for piece in pieces:
                if isinstance(piece, Finished):
                    self._end(_ending_of(piece))
                    return
                if not await self._take(piece.content):
                    self._end(Ending("length"))
                    return

    async def _take(self, text: str) -> bool:
        """Take a piece of text; False if the answer is as long as it may be."""
        if self._first_token_ms is None:
            self._first_token_ms = self._ms()
        encoded = text.encode()
        room = ANSWER_MAX_BYTES - self._told_bytes
        if len(encoded) > room:
            text = encoded[:room].decode(errors="ignore")
        self._told.append(text)
        self._told_bytes += len(encoded)
        self._pacing.add(text)
        self._changed.set()
        while self._pacing.full:
            # The log is slower than the model: it isn't read further, instead of held in memory.
            self._room.clear()
            await self._room.wait()
        return len(encoded) <= room

    # -- writing the log

    async def _write(self) -> None:
        """Write chunks until the text has ended. Raises SendFailed."""
        pacing = self._pacing
        while self._over is None:
            now = time.monotonic()
            text = pacing.take(now)
            if text is not None:
                self._sequence += 1
                await self._send(events_out.chunk(self._start, self._sequence, text, now_text()))
                pacing.acknowledged()
                self._on_chunk()
                self._room.set()
            elif self._ending is not None and pacing.empty:
                return
            elif now >= pacing.alive_at():
                pacing.alive_sent(now)
                await self._send(events_out.status(self._start, "alive", now_text()))
            else:
                await self._something_comes(min(pacing.due_at() or inf, pacing.alive_at()) - now)

    async def _something_comes(self, limit_s: float) -> None:
        """Wait for more text, for an end, or for the next chunk's or sign of life's time."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._changed.wait()

    async def _send(self, event: Event) -> int:
        return await self._sender.send(
            SESSION_LOG, self._start.shard, self._key, encode(event), self._headers
        )

    def _terminal(self) -> Event:
        ending, start = self._ending, self._start
        assert ending is not None  # noqa: S101 - writing ends with an ending, else it is over
        if ending.error is not None:
            return events_out.failed(start, ending.error, self._sequence, now_text())
        return events_out.complete(
            start,
            self._sequence,
            now_text(),
            finish_reason=ending.finish_reason,
            usage=ending.usage or estimate_usage(self._prompt, "".join(self._told)),
            timing=Timing(
                queued_ms=max(0, self._began_ms() - start.accepted_ms),
                first_token_ms=self._first_token_ms,
                total_ms=self._ms(),
            ),
            history="full" if self._full_history else "partial",
        )

    def _ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    def _began_ms(self) -> int:
        return round((time.time() - (time.monotonic() - self._began)) * 1000)


def _ending_of(finished: Finished) -> Ending:
    if finished.broken_off is not None:
        log.info("the model broke off", why=finished.broken_off)
    return Ending(finish_reason=finished.finish_reason or "incomplete", usage=finished.usage)


def now_text() -> str:
    """The time as events carry it: ISO 8601, UTC, milliseconds."""
    now = datetime.now(UTC)  # noqa: TID251 - the edge
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
