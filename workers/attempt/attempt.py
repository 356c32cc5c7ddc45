"""The life of one attempt at an answer: start, history, model, chunks, one terminal.

`generating` is acknowledged before anything else of the message is touched. An attempt that goes on
with the text of another writes that text first, as soon as the log says what it is, without waiting
for the model. Two tasks follow: one
reads the model into a bounded text, one writes chunks and, at last, exactly one terminal. However
it ends (end of the model, fault, stop, failed send, drain), it ends with a record in the log:

* a terminal, sent again until it is acknowledged;
* `released`, when a send failed, the process drains or the model can't go on: the attempt is over
  without a result, and the owner of the shard starts another one;
* or nothing, when another attempt has taken its place: nobody listens any more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from typing import Literal

import structlog

from schemas.events import Event, StopReason, encode, iso
from schemas.log.producer import Headers, SendFailed
from schemas.topics import HEADERS, SESSION_LOG
from workers.attempt import events_out
from workers.attempt.needs import AskedModel, AttemptSettings, Sender
from workers.attempt.pacing import Pacing
from workers.attempt.terminal import Known, terminal
from workers.attempt.text import AttemptText, Ending, Failure, stopped
from workers.history.prompt import ChatMessage, KnownTurns, build_prompt
from workers.intake.actions import AttemptEnd, GoOn, Start
from workers.model.continuation import CannotContinue
from workers.model.faults import WORDS, ModelFault
from workers.model.stream import Finished

log = structlog.get_logger(__name__)

SEND_AGAIN_FIRST_S = 0.2
SEND_AGAIN_MAX_S = 5.0
INTERNAL = Failure("internal", WORDS["internal"], retryable=True)


class Attempt:
    """One try at an answer. `run` once; `stop`, `release` and `abandon` may come at any time."""

    def __init__(
        self,
        start: Start,
        *,
        settings: AttemptSettings,
        sender: Sender,
        model: AskedModel,
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
        self._has_room = asyncio.Event()
        self._over: Literal["abandoned", "released"] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._prompt: Sequence[ChatMessage] = ()
        self._full_history = True
        self._so_far: GoOn | None = None
        self._anew = False
        self._began_s = time.monotonic()
        self._text = AttemptText()
        self._pacing = Pacing(self._began_s, chunk_every_s=settings.chunk_every_s)
        self._first_token_ms: int | None = None

    # -- what others ask for

    def stop(self, reason: StopReason) -> None:
        """End it as cancelled or interrupted, keeping its text; the model is let go at once."""
        self._end(stopped(reason))
        self._stop_reading()

    def go_on(self, told: GoOn) -> None:
        """Take the text that it goes on with."""
        self._so_far = told
        self._changed.set()

    def release(self) -> None:
        """End the attempt without a result."""
        self._end_without_result("released")

    def abandon(self) -> None:
        """Write no more: nobody listens to this attempt."""
        self._end_without_result("abandoned")

    def _end_without_result(self, over: Literal["abandoned", "released"]) -> None:
        self._over = over
        self._stop_reading()
        self._changed.set()

    def _end(self, ending: Ending) -> None:
        self._text.end(ending)
        self._pacing.end()
        self._changed.set()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    # -- its life

    async def run(self) -> tuple[AttemptEnd, int | None]:
        """Answer; gives how it ended and the offset of its last record.

        Whatever goes wrong ends this answer, as `internal`, and nothing else.
        """
        try:
            return await self._run()
        except Exception:
            log.exception("attempt failed", session=self._start.message.session_id)
        try:
            return await self._end_internally()
        except Exception:
            # Its silence ends it: the owner of the shard starts another.
            log.exception("attempt left", session=self._start.message.session_id)
            return AttemptEnd.ABANDONED, None

    async def _end_internally(self) -> tuple[AttemptEnd, int | None]:
        error = events_out.failed(self._start, INTERNAL, self._text.sequence, now_text())
        offset = await self._insist(error)
        end = AttemptEnd.ABANDONED if offset is None else AttemptEnd.TERMINAL
        return end, offset

    async def _run(self) -> tuple[AttemptEnd, int | None]:
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
            self._send_failed(error)
        else:
            self._pacing.alive_sent(time.monotonic())
            self._on_started()
            await self._answer()
        if self._over is None:
            offset = await self._insist(self._terminal())
            if offset is not None:
                return AttemptEnd.TERMINAL, offset
        if self._over == "released":
            released = events_out.released(self._start, now_text(), anew=self._anew)
            return AttemptEnd.RELEASED, await self._insist(released)
        return AttemptEnd.ABANDONED, None

    async def _answer(self) -> None:
        try:
            if self._start.continues is not None:
                await self._repeat()
            if self._over is None and self._text.ending is None:
                await self._read_and_write()
        except SendFailed as error:
            self._send_failed(error)

    async def _repeat(self) -> None:
        """Write the text so far as the first chunk, once the start is read back.

        Raises SendFailed.
        """
        while self._so_far is None and self._over is None and self._text.ending is None:
            await self._alive_or(inf)
        if self._so_far is None or not self._so_far.text:
            return
        self._text.go_on(self._so_far.text)
        sequence = self._text.number()
        await self._send(events_out.chunk(self._start, sequence, self._so_far.text, now_text()))
        self._pacing.alive_sent(time.monotonic())
        self._on_chunk()

    async def _read_and_write(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._reading = group.create_task(self._read())
            try:
                await self._write()
            except SendFailed as error:
                self._send_failed(error)
            finally:
                self._reading.cancel()

    def _send_failed(self, error: SendFailed) -> None:
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
            session_id = self._start.message.session_id
            log.warning(
                "the model failed", session=session_id, fault=fault.kind.value, why=fault.message
            )
            self._end(Ending(failure=Failure(fault.code, fault.words, fault.retryable)))
        except CannotContinue:
            log.info("the model can't go on", session=self._start.message.session_id)
            self._anew = True
            self.release()
        except Exception:
            log.exception("reading the model failed", session=self._start.message.session_id)
            self._end(Ending(failure=INTERNAL))

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
            self._prompt,
            model=self._model_name,
            max_tokens=settings.max_tokens,
            so_far=self._text.content,
        )
        async with asked as deltas:
            async for delta in deltas:
                if isinstance(delta, Finished):
                    if delta.broken_off is not None:
                        log.info("the model broke off", why=delta.broken_off)
                    self._end(Ending(delta.finish_reason or "incomplete", usage=delta.usage))
                else:
                    await self._take(delta.content)
                if self._text.ending is not None:
                    return

    async def _take(self, content: str) -> None:
        """Take text; the log may be slower than the model: then the model waits, not memory."""
        if self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
        self._pacing.add(self._text.add(content))
        if self._text.ending is not None:
            self._pacing.end()
        self._changed.set()
        while self._pacing.full:
            self._has_room.clear()
            await self._has_room.wait()

    # -- writing the log

    async def _write(self) -> None:
        """Write chunks until the text has ended. Raises SendFailed."""
        pacing = self._pacing
        while self._over is None:
            now_s = time.monotonic()
            content = pacing.take(now_s)
            if content is not None:
                sequence = self._text.number()
                await self._send(events_out.chunk(self._start, sequence, content, now_text()))
                pacing.acknowledged()
                self._on_chunk()
                self._has_room.set()
            elif self._text.ending is not None and pacing.empty:
                return
            else:
                await self._alive_or(pacing.due_at() or inf)

    async def _alive_or(self, due_at_s: float) -> None:
        """Give a sign of life if it is time, else wait for what comes. Raises SendFailed."""
        now_s = time.monotonic()
        if now_s >= self._pacing.alive_at():
            self._pacing.alive_sent(now_s)
            await self._send(events_out.alive(self._start, now_text()))
        else:
            await self._something_comes(min(due_at_s, self._pacing.alive_at()) - now_s)

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
        return terminal(
            self._start,
            self._text,
            Known(
                prompt=self._prompt,
                full_history=self._full_history,
                repeated_bytes=self._so_far.repeated_bytes if self._so_far is not None else (),
                first_token_ms=self._first_token_ms,
                total_ms=self._elapsed_ms(),
                now_ms=round(time.time() * 1000),
            ),
            now_text(),
        )

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began_s) * 1000)


def now_text() -> str:
    """Give the time as events carry it."""
    return iso(datetime.now(UTC))  # noqa: TID251 - the edge
