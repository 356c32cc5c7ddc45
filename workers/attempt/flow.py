"""One attempt's words on their way from the model into the log, as the tick moves them. Pure.

    the model's stream --read--> text that waits --entry--> a batch --acknowledged--> written

At most one record is in flight. While as much waits as may, the model is not read: then it waits,
not memory. What the tick meets is kept here (`fault`, `send_error`), for the attempt to act on; it
is told by `on_change` when reading or writing is over.
"""

from collections.abc import Callable
from typing import Literal

from schemas.events import encode
from schemas.topics import Entry, Headers
from workers.attempt import events_out
from workers.attempt.pacing import Pacing
from workers.attempt.terminal import Elapsed
from workers.attempt.text import AttemptText, Ending
from workers.intake.actions import Start
from workers.model.stream import Delta, Deltas, Finished, Reasoning

ROUNDING_S = 0.001
"""A tick that comes a moment before a chunk may leave does not make it wait for the next one."""


class Flow:
    """The text of one attempt; times are seconds on the loop's clock."""

    def __init__(
        self,
        start: Start,
        now_s: float,
        *,
        headers: Headers,
        chunk_every_s: float,
        keep_reasoning: bool,
        on_change: Callable[[], None],
        on_chunk: Callable[[], None],
    ) -> None:
        self.shard = start.shard
        self.text = AttemptText()
        self.over: Literal["abandoned", "released"] | None = None
        self.fault: Exception | None = None
        """What has ended the reading; not the model's own end."""
        self.send_error: Exception | None = None
        """What has ended the writing."""
        self.broken_off: str | None = None
        """Why the rest of the model's text is missing."""
        self._began_s = now_s
        self._first_text_at_s: float | None = None
        self._thought_s: tuple[float, float] | None = None  # its first and last moment
        self._keep_reasoning = keep_reasoning
        self._start = start
        self._key = start.message.session_id.encode()
        self._headers = headers
        self._on_change = on_change
        self._on_chunk = on_chunk
        self._pacing = Pacing(now_s, chunk_every_s=max(0.0, chunk_every_s - ROUNDING_S))
        self._deltas: Deltas | None = None
        self._in_flight = False

    # -- what the attempt does

    def read_from(self, deltas: Deltas) -> None:
        """Let the tick read this from now on."""
        self._deltas = deltas

    def stop_reading(self) -> None:
        """Read no more."""
        self._deltas = None
        self._on_change()

    def end(self, ending: Ending) -> None:
        """End the text, unless it has ended; what waits leaves without waiting for company."""
        self.text.end(ending)
        self._pacing.end()
        self.stop_reading()

    def end_without_result(self, over: Literal["abandoned", "released"]) -> None:
        """Write no more than what is in flight."""
        self.over = over
        self.stop_reading()

    def begun(self, now_s: float) -> None:
        """The log has the attempt's start: that was a sign of life."""
        self._pacing.alive_sent(now_s)

    def alive_at(self) -> float:
        """Say from when a sign of life is due."""
        return self._pacing.alive_at()

    @property
    def is_read(self) -> bool:
        """Whether reading is over."""
        return self._deltas is None

    @property
    def is_backlogged(self) -> bool:
        """Whether the model may have said more than was read."""
        return self._deltas is not None and self._deltas.is_backlogged

    @property
    def is_written(self) -> bool:
        """Whether writing is over: nothing is in flight, and nothing more will be."""
        if self._in_flight:
            return False
        if self.over is not None or self.send_error is not None:
            return True
        return self.text.ending is not None and self._pacing.empty

    def elapsed(self, now_s: float) -> Elapsed:
        """Say how long what has taken, up to now."""
        first_s, thought_ms = self._first_text_at_s, None
        if self._thought_s is not None:
            began_s, last_s = self._thought_s
            # Thinking ends where the text begins; a model that thinks on has thought until then.
            until_s = last_s if first_s is None or first_s < began_s else first_s
            thought_ms = _ms(until_s - began_s)
        first_token_ms = None if first_s is None else _ms(first_s - self._began_s)
        return Elapsed(first_token_ms, thought_ms, _ms(now_s - self._began_s))

    # -- what the tick does

    def read(self, now_s: float) -> None:
        """Take all that the model has said since."""
        while self._deltas is not None and not self._pacing.full:
            try:
                delta = self._deltas.read(now_s)
            except Exception as error:
                self.fault = error
                self.stop_reading()
                return
            if delta is None:
                return
            self._take(delta, now_s)

    def is_due(self, now_s: float) -> bool:
        """Say whether a chunk or a sign of life leaves now."""
        if self._in_flight or self.is_written:
            return False
        due_at_s = self._pacing.due_at()
        return now_s >= self._pacing.alive_at() or (due_at_s is not None and now_s >= due_at_s)

    @property
    def is_urgent(self) -> bool:
        """Whether what waits waits for the log alone: the first text, or the last."""
        said = self.text.sequence or self.text.reasoning_sequence
        return not said or self.text.ending is not None

    def entry(self, now_s: float, created_at: str) -> Entry:
        """Give the record that is due; it is in flight until `acknowledged` or `failed`."""
        self._in_flight = True
        cut = self._pacing.take(now_s)
        if cut is None:
            self._pacing.alive_sent(now_s)
            value = encode(events_out.alive(self._start, created_at))
        elif cut.is_reasoning:
            sequence = self.text.number_reasoning()
            thought = events_out.reasoning_chunk(self._start, sequence, cut.content, created_at)
            value = encode(thought)
        else:
            sequence = self.text.number()
            value = encode(events_out.chunk(self._start, sequence, cut.content, created_at))
        return Entry(self._key, value, self._headers)

    def acknowledged(self) -> None:
        """The record in flight is in the log."""
        self._in_flight = False
        if self._pacing.in_flight:
            self._pacing.acknowledged()
            self._on_chunk()
        if self.is_written:
            self._on_change()

    def failed(self, error: Exception) -> None:
        """The record in flight may be in the log, or come into it later: nothing follows it."""
        self._in_flight = False
        self.send_error = error
        self._on_change()

    def _take(self, delta: Delta, now_s: float) -> None:
        if isinstance(delta, Finished):
            self.broken_off = delta.broken_off
            reason = delta.finish_reason or "incomplete"
            self.end(Ending(reason, usage=delta.usage, tool_calls=delta.tool_calls))
            return
        if isinstance(delta, Reasoning):
            if self._keep_reasoning:
                began_s = now_s if self._thought_s is None else self._thought_s[0]
                self._thought_s = (began_s, now_s)
                self._pacing.add(delta.content, is_reasoning=True)
            return
        if self._first_text_at_s is None:
            self._first_text_at_s = now_s
        self._pacing.add(self.text.add(delta.content))
        if self.text.ending is not None:
            self._pacing.end()
            self.stop_reading()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
