"""Any log that workers can write gives one attempt's text, whole and in order.

Workers here obey nothing but their own sequence numbers: each writes starts, chunks and an end, and
the log interleaves them as it likes. A token names its message, attempt and index, so what is right
is known from the log itself and not from the fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Chunk, Complete, Error, ReasoningChunk, SessionEvent, Status
from schemas.transcript import Message, Outcome, Place, Transcript, fold
from tests.unit.schemas.log_of import chunk, complete, failed, released, start, thought

Fence = tuple[int, int, int]


@dataclass(frozen=True)
class Attempt:
    message_id: str
    name: str
    fence: Fence
    tokens: int
    thoughts: int
    end: str  # complete, error, released, or nothing: the worker died


def token(message_id: str, attempt: str, index: int) -> str:
    return f"<{message_id} {attempt} {index}>"


def written(attempt: Attempt) -> list[SessionEvent]:
    """What the attempt's worker writes, in its own order."""
    m, a = attempt.message_id, attempt.name
    events: list[SessionEvent] = [start(a, attempt.fence, m)]
    # Some servers let a model think again between two pieces of its text.
    for i in range(1, max(attempt.tokens, attempt.thoughts) + 1):
        if i <= attempt.thoughts:
            events.append(thought(a, i, token(m, a, -i), m))
        if i <= attempt.tokens:
            events.append(chunk(a, i, token(m, a, i), m))
    if attempt.end == "complete":
        events.append(complete(a, attempt.tokens, message_id=m))
    elif attempt.end == "error":
        events.append(failed(a, last_sequence=attempt.tokens, message_id=m))
    elif attempt.end == "released":
        events.append(released(a, m))
    return events


@st.composite
def attempts(draw: st.DrawFn) -> list[Attempt]:
    fences = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2))
    counts = st.tuples(st.integers(0, 5), st.integers(0, 3))
    ends = st.sampled_from(["complete", "error", "released", "nothing"])
    return [
        Attempt(f"m{draw(st.integers(1, 2))}", f"a{i}", draw(fences), *draw(counts), end)
        for i, end in enumerate(draw(st.lists(ends, min_size=1, max_size=6)))
    ]


@st.composite
def logs(draw: st.DrawFn) -> list[SessionEvent]:
    """Any interleaving of the attempts; each keeps its own order."""
    waiting = [written(attempt) for attempt in draw(attempts())]
    log: list[SessionEvent] = []
    while waiting:
        turn = draw(st.integers(0, len(waiting) - 1))
        log.append(waiting[turn].pop(0))
        if not waiting[turn]:
            waiting.pop(turn)
    return log


@dataclass
class Truth:
    """What is right for one message, from the log alone and told another way than by the fold."""

    attempt: str | None
    text: str
    reasoning: str
    ended: bool


def truth(log: Sequence[SessionEvent], message_id: str) -> Truth:
    events = [(i, e) for i, e in enumerate(log) if e.message_id == message_id]
    ruler: tuple[int, Status] | None = None
    text, reasoning, ended, listening = "", "", False, False
    for i, event in events:
        if isinstance(event, Status) and event.state == "generating":
            if _fence(event) == max(_fence(e) for j, e in events if j <= i and _is_start(e)):
                ruler, text, reasoning, listening = (i, event), "", "", True
        elif ruler is None or getattr(event, "attempt", None) != ruler[1].attempt:
            continue
        elif isinstance(event, Chunk) and listening:
            text += event.content
        elif isinstance(event, ReasoningChunk) and listening:
            reasoning += event.content
        elif isinstance(event, Status) and event.state == "released":
            listening = False
        elif isinstance(event, Complete | Error):
            ended = True
            break
    return Truth(ruler[1].attempt if ruler else None, text, reasoning, ended)


def _fence(event: SessionEvent) -> Fence:
    assert isinstance(event, Status)
    assert event.fence is not None
    return event.fence


def _is_start(event: SessionEvent) -> bool:
    return isinstance(event, Status) and event.state == "generating"


def placed(log: Sequence[SessionEvent]) -> list[tuple[SessionEvent, Place]]:
    return [(event, Place(1, offset)) for offset, event in enumerate(log)]


def state(message: Message) -> tuple[object, ...]:
    """All that is true of a message but where its last event lies (a merge moves that)."""
    return (
        message.message_id,
        message.state,
        message.attempt,
        message.fence,
        message.released,
        message.starts,
        message.unended_starts,
        message.last_sequence,
        message.last_reasoning_sequence,
        message.damaged,
        message.text,
        message.reasoning,
        message.finish_reason,
        message.first,
        message.last,
    )


@given(logs())
def test_any_interleaving_gives_the_text_of_exactly_one_attempt(log: list[SessionEvent]) -> None:
    transcript = fold(placed(log))
    for message in transcript.messages.values():
        right = truth(log, message.message_id)
        assert message.attempt == right.attempt
        assert message.text == right.text
        assert message.reasoning == right.reasoning
        assert message.terminal == right.ended
        expected = "".join(
            token(message.message_id, str(message.attempt), i)
            for i in range(1, message.last_sequence + 1)
        )
        assert message.text == expected
        assert not message.damaged


@given(logs())
def test_a_message_ends_at_most_once(log: list[SessionEvent]) -> None:
    transcript = Transcript()
    ends = [
        event.message_id
        for event, place in placed(log)
        if transcript.apply(event, place) is Outcome.ENDED
    ]
    assert len(ends) == len(set(ends))
    assert set(ends) == {m.message_id for m in transcript.messages.values() if m.terminal}


@given(logs(), st.data())
def test_records_read_twice_change_nothing(log: list[SessionEvent], data: st.DataObject) -> None:
    """A reader that resumes too early sees some chunks again; it drops the rest by their cursor."""
    once = fold(placed(log))
    twice = Transcript()
    for event, place in placed(log):
        twice.apply(event, place)
        if isinstance(event, Chunk) and data.draw(st.booleans()):
            assert not twice.apply(event, place).counts
    assert list(map(state, twice.messages.values())) == list(map(state, once.messages.values()))


@given(logs(), st.data())
def test_any_cut_and_any_merge_of_frames_gives_the_same_state(
    log: list[SessionEvent], data: st.DataObject
) -> None:
    """A slow socket is given neighbouring chunks of one attempt and kind in one frame."""
    over_frames = Transcript()
    for event, place, first in merged(log, data):
        over_frames.apply(event, place, first)
    over_records = fold(placed(log))
    assert list(map(state, over_frames.messages.values())) == list(
        map(state, over_records.messages.values())
    )


def merged(
    log: Sequence[SessionEvent], data: st.DataObject
) -> list[tuple[SessionEvent, Place, int | None]]:
    """Merge runs of consecutive chunks, cut anywhere."""
    frames: list[tuple[SessionEvent, Place, int | None]] = []
    for _, group in groupby(enumerate(placed(log)), key=lambda item: _run(log, item[0])):
        run = [placed_event for _, placed_event in group]
        while run:
            size = data.draw(st.integers(1, len(run)))
            piece, run = run[:size], run[size:]
            first, last = piece[0][0], piece[-1]
            whole: Chunk | ReasoningChunk
            if not isinstance(first, Chunk | ReasoningChunk) or type(last[0]) is not type(first):
                frames += [(event, place, None) for event, place in piece]
                continue
            content = "".join(getattr(event, "content") for event, _ in piece)  # noqa: B009
            write = chunk if isinstance(first, Chunk) else thought
            whole = write(first.attempt, getattr(last[0], "sequence"), content, first.message_id)  # noqa: B009
            frames.append((whole, last[1], first.sequence))
    return frames


def _run(log: Sequence[SessionEvent], index: int) -> tuple[object, ...]:
    """The key of a run: chunks of one attempt, each one sequence after its neighbour."""
    event = log[index]
    if not isinstance(event, Chunk | ReasoningChunk):
        return ("alone", index)
    return (type(event), event.message_id, event.attempt, event.sequence - index)


@given(logs(), st.data())
def test_going_on_from_any_place_is_the_same_as_reading_all(
    log: list[SessionEvent], data: st.DataObject
) -> None:
    """A reader that stored its fold and goes on from there, as the persister does after a crash."""
    cut = data.draw(st.integers(0, len(log)))
    transcript = fold(placed(log)[:cut])
    for event, place in placed(log)[cut:]:
        transcript.apply(event, place)
    whole = fold(placed(log))
    assert list(map(state, transcript.messages.values())) == list(
        map(state, whole.messages.values())
    )


@given(logs(), st.data())
def test_a_missing_chunk_is_always_seen(log: list[SessionEvent], data: st.DataObject) -> None:
    """Take one chunk that counted out of the log of an answer that ended: it is damaged."""
    transcript = Transcript()
    counted = [
        (i, event)
        for i, (event, place) in enumerate(placed(log))
        if transcript.apply(event, place) is Outcome.CHUNK
    ]
    ended = [
        (i, event)
        for i, event in counted
        if isinstance(event, Chunk)
        and transcript.messages[event.message_id].terminal
        and transcript.messages[event.message_id].attempt == event.attempt
    ]
    if not ended:
        return
    i, event = data.draw(st.sampled_from(ended))
    holed = fold([*placed(log)[:i], *placed(log)[i + 1 :]])
    assert holed.messages[event.message_id].damaged
