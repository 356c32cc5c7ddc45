"""One answer against a log and a model in memory: it always ends with the right record."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from msgspec import UNSET

from schemas.events import (
    BEGIN_ANEW,
    Chunk,
    Complete,
    Error,
    ReasoningChunk,
    SessionEvent,
    Status,
    Usage,
    UserMessage,
    decode_session_event,
)
from schemas.limits import ANSWER_MAX_BYTES
from schemas.log.producer import Headers, SendFailed
from schemas.topics import Entry
from workers.attempt.attempt import Attempt
from workers.attempt.needs import AttemptSettings
from workers.attempt.tick import Tick
from workers.history.prompt import ChatMessage, KnownTurns, Turn
from workers.intake.actions import AttemptEnd, GoOn, MessageKey, Start
from workers.model.continuation import CannotContinue
from workers.model.faults import FaultKind, fault
from workers.model.stream import Delta, Finished, Reasoning, Text

SETTINGS = AttemptSettings(
    worker="w",
    model="usual",
    system_prompt="Be brief.",
    budget_tokens=1000,
    max_tokens=50,
    chunk_every_s=0.0,
)


class MemoryLog:
    """A broker in memory; `refuses` says which sends fail."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self.headers: list[Headers | None] = []
        self.refuses: Callable[[SessionEvent], bool] = lambda _: False
        self.sent = 0
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.tick = Tick(self, chunk_every_s=0.0)

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        assert key == b"s"
        return await self.send_batch(topic, shard, [Entry(key, value, headers or [])])

    async def send_batch(self, topic: str, shard: int | None, entries: Sequence[Entry]) -> int:
        assert (topic, shard) == ("ai_response_chunks", 2)
        events = [decode_session_event(entry.value) for entry in entries]
        await asyncio.sleep(0)
        await self.may_go.wait()
        self.sent += len(entries)
        for event, entry in zip(events, entries, strict=True):
            assert event is not None
            if self.refuses(event):
                raise SendFailed("scripted")
            self.events.append(event)
            self.headers.append(entry.headers)
        return len(self.events) - len(events)

    @property
    def text(self) -> str:
        return "".join(event.content for event in self.events if isinstance(event, Chunk))

    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, Status)]


@pytest.fixture
async def log() -> AsyncIterator[MemoryLog]:
    log = MemoryLog()
    ticking = asyncio.create_task(log.tick.run())
    yield log
    ticking.cancel()
    await asyncio.wait({ticking})


class ScriptedModel:
    """A model that says these pieces; an exception among them is raised, an event waited for."""

    is_backlogged = False

    def __init__(self, *pieces: Delta | Exception | asyncio.Event) -> None:
        self._pieces = list(pieces)
        self.asked: list[tuple[Sequence[ChatMessage], str, int]] = []
        self.so_far: list[str] = []
        self.open = 0
        self.given = 0

    @asynccontextmanager
    async def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int, so_far: str = ""
    ) -> AsyncIterator["ScriptedModel"]:
        self.asked.append((messages, model, max_tokens))
        self.so_far.append(so_far)
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    def read(self, now_s: float) -> Delta | None:
        piece = self._pieces[0]
        if isinstance(piece, asyncio.Event):
            if not piece.is_set():
                return None
            del self._pieces[0]
            return self.read(now_s)
        del self._pieces[0]
        if isinstance(piece, Exception):
            raise piece
        self.given += 1
        return piece


DONE = Finished("stop", Usage(prompt_tokens=5, completion_tokens=2))


def an_attempt(
    log: MemoryLog,
    model: ScriptedModel,
    *,
    full: bool = True,
    continues: str | None = None,
    settings: AttemptSettings = SETTINGS,
) -> Attempt:
    start = Start(
        shard=2,
        message=UserMessage(
            session_id="s",
            message_id="m1",
            created_at="2026-01-01T00:00:00.000Z",
            content="hello",
            model="special",
        ),
        attempt="a1",
        fence=(1, 2, 0),
        accepted_ms=0,
        traceparent=b"00-trace",
        continues=continues,
    )

    async def turns(session_id: str) -> KnownTurns:
        assert session_id == "s"
        assert log.states() == ["generating"], "history was asked for before the start was there"
        return KnownTurns(
            [Turn("user", "before", "m0", 3), Turn("assistant", "said", "m0", 3)], full
        )

    return Attempt(
        start,
        settings=settings,
        sender=log,
        tick=log.tick,
        model=model,
        turns=turns,
        on_started=lambda: None,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a fake tells nobody
            await asyncio.sleep(0)


async def test_start_chunks_and_end(log: MemoryLog) -> None:
    model = ScriptedModel(Text("Hel"), Text("lo"), DONE)
    outcome, offset = await an_attempt(log, model).run()
    assert (outcome, offset) == (AttemptEnd.TERMINAL, len(log.events) - 1)
    first, last = log.events[0], log.events[-1]
    assert isinstance(first, Status)
    assert (first.state, first.attempt, first.fence) == ("generating", "a1", (1, 2, 0))
    assert first.prompt is not None
    assert first.prompt.content == "hello"
    assert first.model == "special"
    chunks = [event for event in log.events if isinstance(event, Chunk)]
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert log.text == "Hello"
    assert isinstance(last, Complete)
    assert (last.finish_reason, last.attempt, last.last_sequence) == ("stop", "a1", len(chunks))
    assert last.usage == DONE.usage
    assert last.history == "full"
    assert all(("traceparent", b"00-trace") in (headers or []) for headers in log.headers)
    [(messages, asked, max_tokens)] = model.asked
    assert [m["content"] for m in messages] == ["Be brief.", "before", "said", "hello"]
    assert (asked, max_tokens) == ("special", 50)


async def test_reasoning_is_written_in_its_order_with_a_sequence_of_its_own(log: MemoryLog) -> None:
    said: list[Delta] = [Reasoning("hm, "), Reasoning("so"), Text("Yes"), Reasoning("?"), Text(".")]
    ended = Finished("stop", Usage(prompt_tokens=5, completion_tokens=9, reasoning_tokens=6))
    await an_attempt(log, ScriptedModel(*said, ended)).run()
    told = [event for event in log.events if isinstance(event, Chunk | ReasoningChunk)]
    assert "".join(event.content for event in told) == "hm, soYes?."
    for kind, content in ((ReasoningChunk, "hm, so?"), (Chunk, "Yes.")):
        of_it = [event for event in told if isinstance(event, kind)]
        assert "".join(event.content for event in of_it) == content
        assert [event.sequence for event in of_it] == list(range(1, len(of_it) + 1))
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.last_sequence == sum(isinstance(event, Chunk) for event in told)
    assert last.usage == ended.usage
    assert last.timing is not None
    assert last.timing.reasoning_ms is not UNSET


async def test_reasoning_that_is_not_wanted_leaves_no_trace(log: MemoryLog) -> None:
    model = ScriptedModel(Reasoning("hm"), Text("Yes"), DONE)
    await an_attempt(log, model, settings=replace(SETTINGS, keep_reasoning=False)).run()
    assert not [event for event in log.events if isinstance(event, ReasoningChunk)]
    assert log.text == "Yes"
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.timing is not None
    assert last.timing.reasoning_ms is UNSET


async def test_an_answer_of_reasoning_only_ends_in_order_without_text(log: MemoryLog) -> None:
    ended = Finished("stop", None, tool_calls=2)
    await an_attempt(log, ScriptedModel(Reasoning("42"), ended)).run()
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert (last.finish_reason, last.last_sequence, last.tool_calls_ignored) == ("stop", 0, 2)
    assert log.text == ""


async def test_what_the_model_does_not_say_is_estimated_or_named(log: MemoryLog) -> None:
    await an_attempt(log, ScriptedModel(Text("four"), Finished(None, None)), full=False).run()
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.finish_reason == "incomplete"
    assert last.usage is not None
    assert last.usage.estimated
    assert last.history == "partial"


async def test_a_fault_of_the_model_is_one_error_after_the_text(log: MemoryLog) -> None:
    failed = fault(FaultKind.IDLE_TIMEOUT, "nothing came")
    outcome, _ = await an_attempt(log, ScriptedModel(Text("so far"), failed)).run()
    assert outcome is AttemptEnd.TERMINAL
    last = log.events[-1]
    assert isinstance(last, Error)
    assert (last.code, last.retryable, last.last_sequence) == ("model_timeout", True, 1)
    assert log.text == "so far"


async def test_an_unforeseen_error_is_told_as_internal(log: MemoryLog) -> None:
    outcome, _ = await an_attempt(log, ScriptedModel(RuntimeError("bug"))).run()
    assert outcome is AttemptEnd.TERMINAL
    last = log.events[-1]
    assert isinstance(last, Error)
    assert last.code == "internal"


async def test_stop_keeps_the_text_and_lets_the_model_go(log: MemoryLog) -> None:
    model = ScriptedModel(Text("partial"), asyncio.Event())
    answer = an_attempt(log, model)
    running = asyncio.create_task(answer.run())
    await until(lambda: log.text == "partial")
    answer.stop("interrupt")
    outcome, _ = await running
    assert outcome is AttemptEnd.TERMINAL
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.finish_reason == "interrupted"
    assert last.last_sequence == 1
    assert model.open == 0


async def test_stop_before_the_start_is_acknowledged_asks_no_model(log: MemoryLog) -> None:
    model = ScriptedModel(Text("never"), DONE)
    log.may_go.clear()
    answer = an_attempt(log, model)
    running = asyncio.create_task(answer.run())
    await asyncio.sleep(0)
    answer.stop("cancel")
    log.may_go.set()
    assert (await running)[0] is AttemptEnd.TERMINAL
    assert not model.asked
    assert log.text == ""


async def test_a_stop_after_the_end_changes_nothing(log: MemoryLog) -> None:
    answer = an_attempt(log, ScriptedModel(Text("all"), DONE))
    running = asyncio.create_task(answer.run())
    await until(lambda: log.text == "all")
    answer.stop("cancel")
    await running
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.finish_reason == "stop"


async def test_a_failed_start_is_released_without_asking_anybody(log: MemoryLog) -> None:
    model = ScriptedModel(DONE)
    log.refuses = lambda event: isinstance(event, Status) and event.state == "generating"
    outcome, offset = await an_attempt(log, model).run()
    assert outcome is AttemptEnd.RELEASED
    assert log.states() == ["released"]
    assert offset == 0
    assert not model.asked


async def test_a_failed_chunk_ends_the_attempt_and_is_not_sent_again(log: MemoryLog) -> None:
    log.refuses = lambda event: isinstance(event, Chunk) and event.sequence == 2
    gate = asyncio.Event()
    model = ScriptedModel(Text("one"), gate, Text("two"), Text("three"), DONE)
    running = asyncio.create_task(an_attempt(log, model).run())
    await until(lambda: log.text == "one")
    gate.set()
    outcome, _ = await running
    assert outcome is AttemptEnd.RELEASED
    assert log.text == "one"
    assert log.states() == ["generating", "released"]
    assert not any(isinstance(event, Complete) for event in log.events)


async def test_a_failed_terminal_is_sent_again_until_it_is_there(log: MemoryLog) -> None:
    fails = iter([True, True, False])
    log.refuses = lambda event: isinstance(event, Complete) and next(fails)
    outcome, offset = await an_attempt(log, ScriptedModel(Text("x"), DONE)).run()
    assert outcome is AttemptEnd.TERMINAL
    assert offset == len(log.events) - 1
    assert sum(isinstance(event, Complete) for event in log.events) == 1


async def test_released_by_a_drain(log: MemoryLog) -> None:
    model = ScriptedModel(Text("a"), asyncio.Event())
    answer = an_attempt(log, model)
    running = asyncio.create_task(answer.run())
    await until(lambda: log.text == "a")
    answer.release()
    assert (await running)[0] is AttemptEnd.RELEASED
    assert log.states() == ["generating", "released"]
    assert model.open == 0


async def test_abandoned_it_writes_no_more(log: MemoryLog) -> None:
    model = ScriptedModel(Text("a"), asyncio.Event())
    answer = an_attempt(log, model)
    running = asyncio.create_task(answer.run())
    await until(lambda: log.text == "a")
    answer.abandon()
    assert await running == (AttemptEnd.ABANDONED, None)
    assert log.sent == 2
    assert model.open == 0


async def test_an_attempt_is_cut_at_its_limit_as_length(log: MemoryLog) -> None:
    pieces = [Text("ü" * 50_000) for _ in range(4)]
    await an_attempt(log, ScriptedModel(*pieces, DONE)).run()
    last = log.events[-1]
    assert isinstance(last, Complete)
    assert last.finish_reason == "length"
    assert len(log.text.encode()) == ANSWER_MAX_BYTES


async def test_a_slow_log_stops_the_reading_of_the_model(log: MemoryLog) -> None:
    model = ScriptedModel(*(Text("x" * 4096) for _ in range(50)), DONE)
    running = asyncio.create_task(an_attempt(log, model).run())
    await until(lambda: bool(log.text))
    log.may_go.clear()
    given = -1
    while given != model.given:
        given = model.given
        for _ in range(20):
            await asyncio.sleep(0)
    assert model.given < 20
    log.may_go.set()
    await running
    assert len(log.text) == 50 * 4096


HOSTILE = "Incorrect API key provided: sk-abc123456789 \x00 \ud83d at http://10.0.0.7"


async def test_what_a_server_says_of_itself_is_told_to_nobody(log: MemoryLog) -> None:
    """A lone surrogate in it ended the process, and 200 answers with it; keys reached browsers."""
    failing = ScriptedModel(Text("Hel"), fault(FaultKind.REJECTED, HOSTILE))
    end, _ = await an_attempt(log, failing).run()
    assert end is AttemptEnd.TERMINAL
    error = log.events[-1]
    assert isinstance(error, Error)
    assert error.code == "model_rejected"
    assert "sk-" not in error.message
    assert "10.0.0.7" not in error.message
    assert log.text == "Hel"


class Surprise(Exception):
    """Nobody has thought of it."""


async def test_an_unexpected_error_ends_its_answer_and_nothing_else(log: MemoryLog) -> None:
    """It left the one group of tasks: every answer of the process was cut."""

    def surprises(event: SessionEvent) -> bool:
        if isinstance(event, Chunk):
            raise Surprise
        return False

    log.refuses = surprises
    end, offset = await an_attempt(log, ScriptedModel(Text("Hel"), DONE)).run()
    assert (end, offset) == (AttemptEnd.TERMINAL, len(log.events) - 1)
    error = log.events[-1]
    assert isinstance(error, Error)
    assert (error.code, error.retryable) == ("internal", True)


async def test_an_attempt_that_cannot_even_say_so_is_left_to_its_silence(log: MemoryLog) -> None:

    def surprises(event: SessionEvent) -> bool:
        raise Surprise

    log.refuses = surprises
    assert await an_attempt(log, ScriptedModel(DONE)).run() == (AttemptEnd.ABANDONED, None)


# -- going on with a text


async def gone_on(log: MemoryLog, model: ScriptedModel, text: str = "one") -> AttemptEnd:
    """Run an attempt that goes on, and tell it the text when its start is there."""
    attempt = an_attempt(log, model, continues="a0")
    running = asyncio.create_task(attempt.run())
    await until(lambda: log.states() == ["generating"])
    assert not model.asked, "the model was asked before the text was known"
    attempt.go_on(GoOn(MessageKey("s", "m1"), "a1", text, (len(text),) if text else ()))
    end, _ = await running
    return end


def chunks(log: MemoryLog) -> list[tuple[int, str]]:
    return [(event.sequence, event.content) for event in log.events if isinstance(event, Chunk)]


async def test_it_goes_on_with_the_text_that_the_log_names(log: MemoryLog) -> None:
    model = ScriptedModel(Text(" two"), DONE)
    assert await gone_on(log, model) is AttemptEnd.TERMINAL
    start, ended = log.events[0], log.events[-1]
    assert isinstance(start, Status)
    assert start.continues == "a0"
    assert chunks(log) == [(1, "one"), (2, " two")]
    assert model.so_far == ["one"]
    assert isinstance(ended, Complete)
    assert ended.last_sequence == 2


async def test_the_text_so_far_leaves_before_the_model_has_said_anything(log: MemoryLog) -> None:
    held = asyncio.Event()
    model = ScriptedModel(held, Text(" two"), DONE)
    running = asyncio.create_task(gone_on(log, model))
    await until(lambda: chunks(log) == [(1, "one")])
    held.set()
    assert await running is AttemptEnd.TERMINAL
    ended = log.events[-1]
    assert isinstance(ended, Complete)
    assert ended.timing is not None
    assert ended.timing.first_token_ms is not None


async def test_where_the_log_holds_no_text_it_begins(log: MemoryLog) -> None:
    model = ScriptedModel(Text("one"), DONE)
    assert await gone_on(log, model, "") is AttemptEnd.TERMINAL
    assert chunks(log) == [(1, "one")]
    assert model.so_far == [""]


async def test_a_text_of_any_size_is_one_chunk(log: MemoryLog) -> None:
    model = ScriptedModel(Text("!"), DONE)
    text = "x" * (ANSWER_MAX_BYTES - 1)
    assert await gone_on(log, model, text) is AttemptEnd.TERMINAL
    assert chunks(log) == [(1, text), (2, "!")]


async def test_a_text_as_long_as_may_be_ends_without_asking(log: MemoryLog) -> None:
    model = ScriptedModel(Text("!"), DONE)
    assert await gone_on(log, model, "x" * ANSWER_MAX_BYTES) is AttemptEnd.TERMINAL
    ended = log.events[-1]
    assert isinstance(ended, Complete)
    assert (ended.finish_reason, ended.last_sequence, model.asked) == ("length", 1, [])


async def test_a_model_that_cannot_go_on_lets_the_next_begin_anew(log: MemoryLog) -> None:
    model = ScriptedModel(CannotContinue())
    assert await gone_on(log, model) is AttemptEnd.RELEASED
    released = log.events[-1]
    assert isinstance(released, Status)
    assert (released.state, released.reason) == ("released", BEGIN_ANEW)


async def test_stopped_before_it_knows_the_text_it_ends_and_asks_nobody(log: MemoryLog) -> None:
    model = ScriptedModel(Text("!"), DONE)
    attempt = an_attempt(log, model, continues="a0")
    running = asyncio.create_task(attempt.run())
    await until(lambda: log.states() == ["generating"])
    attempt.stop("cancel")
    assert (await running)[0] is AttemptEnd.TERMINAL
    ended = log.events[-1]
    assert isinstance(ended, Complete)
    assert (ended.finish_reason, ended.last_sequence, chunks(log)) == ("cancelled", 0, [])


async def test_what_it_cost_is_the_sum_of_all_attempts(log: MemoryLog) -> None:
    told = Finished("stop", Usage(prompt_tokens=30, completion_tokens=7))
    model = ScriptedModel(Text(" more"), told)
    await gone_on(log, model, "x" * 40)  # about 10 tokens
    ended = log.events[-1]
    assert isinstance(ended, Complete)
    assert ended.usage == Usage(
        prompt_tokens=50, completion_tokens=17, estimated=True, repeated_prompt_tokens=30
    )
