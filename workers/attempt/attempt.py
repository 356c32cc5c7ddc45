"""The life of one attempt at an answer: start, history, model, chunks, one terminal.

`generating` is acknowledged before anything else of the message is touched. An attempt that goes on
with the text of another writes that text first, as soon as the log says what it is, without waiting
for the model. Then one task asks the model; from the first text on the tick reads it, and writes
chunks and signs of life for all attempts of the process together (`tick`, `flow`). At last comes
exactly one terminal. However it ends (end of the model, fault, stop, failed send, drain), it ends
with a record in the log:

* a terminal, sent again until it is acknowledged;
* `released`, when a send failed, the process drains or the model can't go on: the attempt is over
  without a result, and the owner of the shard starts another one;
* or nothing, when another attempt has taken its place: nobody listens any more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Literal

import structlog

from schemas.events import Event, StopReason
from schemas.log.producer import Headers, SendFailed
from schemas.topics import HEADERS
from workers.attempt import events_out
from workers.attempt.clock import now_text
from workers.attempt.flow import Flow
from workers.attempt.needs import AskedModel, AttemptSettings, Sender
from workers.attempt.own_records import OwnRecords
from workers.attempt.terminal import Known, terminal
from workers.attempt.text import Ending, Failure, stopped
from workers.attempt.tick import Tick
from workers.history.prompt import ChatMessage, KnownTurns, build_prompt
from workers.intake.actions import AttemptEnd, GoOn, Start
from workers.model.continuation import CannotContinue
from workers.model.faults import WORDS, ModelFault

log = structlog.get_logger(__name__)

INTERNAL = Failure("internal", WORDS["internal"], retryable=True)


class Attempt:
    """One try at an answer. `run` once; `stop`, `release` and `abandon` may come at any time."""

    def __init__(
        self,
        start: Start,
        *,
        settings: AttemptSettings,
        sender: Sender,
        tick: Tick,
        model: AskedModel,
        turns: Callable[[str], Awaitable[KnownTurns]],
        on_started: Callable[[], None],
        on_chunk: Callable[[], None] = lambda: None,
    ) -> None:
        self._start = start
        self._settings = settings
        self._tick = tick
        self._model = model
        self._turns = turns
        self._on_started = on_started
        self._model_name = start.message.model or settings.model
        headers: Headers = list(HEADERS)
        if start.traceparent is not None:
            headers.append(("traceparent", start.traceparent))
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._prompt: Sequence[ChatMessage] = ()
        self._full_history = True
        self._so_far: GoOn | None = None
        self._anew = False
        self._now = asyncio.get_running_loop().time
        self._began_s = self._now()
        self._on_chunk = on_chunk
        self._flow = Flow(
            start,
            self._began_s,
            headers=headers,
            chunk_every_s=settings.chunk_every_s,
            keep_reasoning=settings.keep_reasoning,
            on_change=self._changed.set,
            on_chunk=on_chunk,
        )
        self._text = self._flow.text
        self._records = OwnRecords(
            start,
            sender=sender,
            headers=headers,
            changed=self._changed,
            wanted=lambda: self._flow.over != "abandoned",
        )

    # -- what others ask for

    def stop(self, reason: StopReason) -> None:
        """End it as cancelled or interrupted, keeping its text; the model is let go at once."""
        self._flow.end(stopped(reason))
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
        self._flow.end_without_result(over)
        self._stop_reading()

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
        offset = await self._records.insist(error)
        end = AttemptEnd.ABANDONED if offset is None else AttemptEnd.TERMINAL
        return end, offset

    async def _run(self) -> tuple[AttemptEnd, int | None]:
        try:
            await self._records.send(
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
            self._flow.begun(self._now())
            self._on_started()
            await self._answer()
        if self._flow.over is None:
            offset = await self._records.insist(self._terminal())
            if offset is not None:
                return AttemptEnd.TERMINAL, offset
        if self._flow.over == "released":
            released = events_out.released(self._start, now_text(), anew=self._anew)
            return AttemptEnd.RELEASED, await self._records.insist(released)
        return AttemptEnd.ABANDONED, None

    async def _answer(self) -> None:
        try:
            if self._start.continues is not None:
                await self._repeat()
            if self._flow.over is None and self._text.ending is None:
                await self._read_and_write()
        except SendFailed as error:
            self._send_failed(error)

    async def _repeat(self) -> None:
        """Write the text so far as the first chunk, once the log names it. Raises SendFailed."""
        while self._so_far is None and self._flow.over is None and self._text.ending is None:
            await self._alive_or_told()
        if self._so_far is None or not self._so_far.text:
            return
        self._text.go_on(self._so_far.text)
        sequence = self._text.number()
        await self._records.send(
            events_out.chunk(self._start, sequence, self._so_far.text, now_text())
        )
        self._flow.begun(self._now())
        self._on_chunk()

    async def _alive_or_told(self) -> None:
        """Give a sign of life if it is time, else wait for that or for a change."""
        wait_s = self._flow.alive_at() - self._now()
        if wait_s <= 0:
            self._flow.begun(self._now())
            await self._records.send(events_out.alive(self._start, now_text()))
            return
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

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
        self._flow.end_without_result(self._flow.over or "released")

    # -- reading the model

    async def _read(self) -> None:
        try:
            await self._read_model()
        except ModelFault as fault:
            session_id = self._start.message.session_id
            log.warning(
                "the model failed", session=session_id, fault=fault.kind.value, why=fault.message
            )
            self._flow.end(Ending(failure=Failure(fault.code, fault.words, fault.retryable)))
        except CannotContinue:
            log.info("the model can't go on", session=self._start.message.session_id)
            self._anew = True
            self.release()
        except Exception:
            log.exception("reading the model failed", session=self._start.message.session_id)
            self._flow.end(Ending(failure=INTERNAL))

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
            self._flow.read_from(deltas)
            # The first text does not wait for the tick.
            self._tick.beat([self._flow])
            await self._until(lambda: self._flow.is_read)
        if self._flow.fault is not None:
            raise self._flow.fault
        if self._flow.broken_off is not None:
            log.info("the model broke off", why=self._flow.broken_off)

    # -- writing the log

    async def _write(self) -> None:
        """Let the tick write until the text has ended. Raises SendFailed."""
        self._tick.add(self._flow)
        try:
            await self._until(lambda: self._flow.is_written)
        finally:
            self._tick.remove(self._flow)
        if self._flow.send_error is not None:
            raise self._flow.send_error

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _terminal(self) -> Event:
        return terminal(
            self._start,
            self._text,
            Known(
                prompt=self._prompt,
                full_history=self._full_history,
                repeated_bytes=self._so_far.repeated_bytes if self._so_far is not None else (),
                elapsed=self._flow.elapsed(self._now()),
                now_ms=round(time.time() * 1000),
            ),
            now_text(),
        )
