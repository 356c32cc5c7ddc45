"""One attempt, as the worker's answer task lives it: start, model, chunks, one terminal."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from schemas.events import Chunk, Complete, Error, Event, FinishReason, Status, StopReason
from schemas.limits import ALIVE_EVERY_S
from tests.simulation.truth import Attempt, name_of, token
from tests.worker_defaults import CHUNK_EVERY_S
from workers.attempt.events_out import prompt_of
from workers.attempt.pacing import Pacing
from workers.history.prompt import Turn
from workers.intake.actions import AttemptEnd, GoOn, MessageKey, Start

if TYPE_CHECKING:
    from tests.simulation.worker import Worker

AT = "2026-01-01T00:00:00.000Z"


class Answer:
    """Every step waits for the one before; a failed send ends the attempt."""

    def __init__(self, worker: "Worker", start: Start) -> None:
        self.worker = worker
        self.world = worker.world
        self.start = start
        self.key = MessageKey(start.message.session_id, start.message.message_id)
        self.told = worker.truth.messages[self.key.message_id]
        self.truth = Attempt(self.key.message_id, worker.process.name)
        worker.truth.attempts[start.attempt] = self.truth
        self.pacing = Pacing(self.world.now, chunk_every_s=CHUNK_EVERY_S)
        self.sequence = 0
        self.sent_tokens = 0
        self.so_far: GoOn | None = None
        self.named = start.attempt  # after which attempt its tokens are named
        self.ending: FinishReason | Literal["error"] | None = None
        self.over: Literal["released", "abandoned"] | None = None
        self.started = False
        self.closing = False  # the last record is under way
        self.ended = False
        self._send(self._status("generating"), self._started)

    # -- what others ask for

    def stop(self, reason: StopReason) -> None:
        self.ending = self.ending or ("cancelled" if reason == "cancel" else "interrupted")
        self._go_on()

    def go_on(self, told: GoOn) -> None:
        self.so_far = told
        self._repeat()

    def release(self) -> None:
        self.truth.excuse = self.truth.excuse or "drained"
        self.over = self.over or "released"
        self._go_on()

    def abandon(self) -> None:
        self.over = "abandoned"
        self._go_on()

    # -- start and model

    def _started(self, offset: int | None) -> None:
        if offset is None:
            self.over = self.over or "released"
            self._close()
            return
        self.started = True
        self.worker.start_landed(self)
        self._alive_due()
        if self.start.continues is None:
            self._ask_memory()
        else:
            self._repeat()
        self._go_on()

    def _repeat(self) -> None:
        """Write the text so far, when the start has landed and was read back."""
        if not self.started or self.so_far is None or self.over or self.ending or self.sequence:
            return
        text = self.so_far.text
        if not text:
            self._ask_memory()
        elif self.pacing.in_flight:  # a sign of life
            self._after(0.01, self._repeat)
        else:
            self.named = name_of(text)
            self.truth.told = text.count("[")
            self.pacing.in_flight = True
            self._chunk(text, self._repeated)

    def _repeated(self, offset: int | None) -> None:
        self._chunk_landed(offset)
        self._ask_memory()

    def _ask_memory(self) -> None:
        self.worker.memory.turns(self.start.shard, self.key, self._ask)

    def _ask(self, turns: Sequence[Turn], full: bool) -> None:
        if self.over is not None or self.ending is not None:
            return
        self.worker.truth.prompted(self.told, self.start.attempt, turns, full=full)
        self.worker.truth.model_calls += 1
        if self.told.plan.kills:
            self.worker.crash()
            return
        self._token_comes(first=True)

    def _token_comes(self, *, first: bool = False) -> None:
        if self.over is not None or self.ending is not None:
            return
        plan = self.told.plan
        if not first:
            self.truth.told += 1
            self.pacing.add(token(self.key.message_id, self.named, self.truth.told))
        if self.truth.told < plan.tokens:
            self._after(self.world.delay(plan.token_every_s), self._token_comes)
        elif plan.ends != "never":
            self.ending = "stop" if plan.ends == "stop" else "error"
        self._go_on()

    # -- writing

    def _go_on(self) -> None:
        """Send what is due, if nothing is under way."""
        if not self.started or self.ended or self.closing or self.pacing.in_flight:
            return
        if self.ending is not None:
            self.pacing.end()
        if self.over is not None or (self.ending is not None and self.pacing.empty):
            self._close()
            return
        cut = self.pacing.take(self.world.now)
        if cut is not None:
            self._chunk(cut.content, self._chunk_landed)
            return
        due = self.pacing.due_at()
        if due is not None:
            self._after(max(0.0, due - self.world.now) + 1e-6, self._go_on, timer=True)

    def _chunk(self, text: str, landed: Callable[[int | None], None]) -> None:
        self.sequence += 1
        self.sent_tokens += text.count("[")
        event = Chunk(
            session_id=self.key.session_id,
            message_id=self.key.message_id,
            created_at=AT,
            attempt=self.start.attempt,
            sequence=self.sequence,
            content=text,
        )
        self._send(event, landed)

    def _chunk_landed(self, offset: int | None) -> None:
        self.pacing.acknowledged()
        if offset is None:
            self.pacing.drop()
            self.over = self.over or "released"
        self._go_on()

    def _alive_due(self) -> None:
        if self.ended or self.closing or self.over is not None:
            return
        if not self.pacing.in_flight and self.world.now >= self.pacing.alive_at() - 1e-9:
            self.pacing.alive_sent(self.world.now)
            self.pacing.in_flight = True
            self._send(self._status("alive"), self._chunk_landed)
        wait_s = max(0.05, min(ALIVE_EVERY_S, self.pacing.alive_at() - self.world.now))
        self._after(wait_s, self._alive_due, timer=True)

    # -- the end

    def _close(self) -> None:
        self.closing = True
        if self.over == "abandoned":
            self._end(AttemptEnd.ABANDONED, None)
        elif self.over == "released":
            self._insist(self._status("released"), AttemptEnd.RELEASED, 0.2)
        else:
            self.truth.finished_with = self.sent_tokens
            self._insist(self._terminal(), AttemptEnd.TERMINAL, 0.2)

    def _insist(self, event: Event, outcome: AttemptEnd, wait_s: float) -> None:
        if self.over == "abandoned":
            self._end(AttemptEnd.ABANDONED, None)
            return

        def landed(offset: int | None) -> None:
            if offset is None:
                self._after(wait_s, self._insist, event, outcome, min(2 * wait_s, 5.0))
            else:
                self._end(outcome, offset)

        self._send(event, landed)

    def _end(self, outcome: AttemptEnd, offset: int | None) -> None:
        self.ended = True
        self.worker.answered(self, outcome, offset)

    # -- its events

    def _after(
        self, delay_s: float, function: Callable[..., None], *arguments: object, timer: bool = False
    ) -> None:
        process = self.worker.process
        self.world.after(delay_s, function, *arguments, by=process, timer=timer)

    def _send(self, event: Event, done: Callable[[int | None], None]) -> None:
        log = self.worker.broker.sessions[self.start.shard]
        if not self.worker.producer.send(log, event, done):
            self.truth.excuse = self.truth.excuse or "a send failed"

    def _status(self, state: Literal["generating", "alive", "released"]) -> Status:
        message = self.start.message
        starts = state == "generating"
        return Status(
            session_id=message.session_id,
            message_id=message.message_id,
            created_at=AT,
            state=state,
            attempt=self.start.attempt,
            fence=self.start.fence if starts else None,
            prompt=prompt_of(message) if starts else None,
            continues=self.start.continues if starts else None,
            model="model" if starts else None,
            worker=self.worker.process.name if starts else None,
        )

    def _terminal(self) -> Event:
        message = self.start.message
        if self.ending == "error":
            return Error(
                session_id=message.session_id,
                message_id=message.message_id,
                created_at=AT,
                attempt=self.start.attempt,
                code="model_unavailable",
                message="the model failed",
                retryable=True,
                last_sequence=self.sequence,
            )
        assert self.ending is not None
        return Complete(
            session_id=message.session_id,
            message_id=message.message_id,
            created_at=AT,
            attempt=self.start.attempt,
            last_sequence=self.sequence,
            finish_reason=self.ending,
        )
