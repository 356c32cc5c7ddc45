"""The bytes of a model's stream: however they are cut, the same answer comes of them.

The first two bytes choose some of the cuts.
"""

import random
from collections.abc import Iterable, Iterator

from schemas.limits import REASONING_MAX_BYTES
from workers.model.answer_reader import TOOL_CALLS_MAX, AnswerReader
from workers.model.sse import EventReader, EventTooLong

SMALL_MAX_BYTES = 64
PIECES_MAX = 128
"""A longer stream is cut into larger pieces at least: byte by byte it would only take time."""


def check(data: bytes) -> None:
    """Hold one stream to what is promised of it."""
    knobs, stream = data[:2], data[2:]
    whole = [stream]
    events = _events(whole)
    answer = _answer(whole)
    _check_answer(answer)
    for pieces in _cuts(knobs, stream):
        assert _events(pieces) == events
        assert _answer(pieces) == answer


def _cuts(knobs: bytes, stream: bytes) -> Iterator[list[bytes]]:
    smallest = 1 + len(stream) // PIECES_MAX
    for step in (smallest, smallest + 1 + sum(knobs[:1]) % 37):
        yield [stream[at : at + step] for at in range(0, len(stream), step)]
    chance = random.Random(knobs)
    edges = sorted(chance.randrange(len(stream) + 1) for _ in range(1 + sum(knobs[1:]) % 8))
    starts, ends = [0, *edges], [*edges, len(stream)]
    yield [stream[start:end] for start, end in zip(starts, ends, strict=True)]


def _events(pieces: Iterable[bytes]) -> list[object]:
    reader = EventReader(event_max_bytes=SMALL_MAX_BYTES)
    found: list[object] = []
    try:
        for piece in pieces:
            for event in reader.receive(piece):
                assert len(event.data) <= SMALL_MAX_BYTES
                found.append(event)
        found.extend(reader.end())
    except EventTooLong:
        found.append("too long")
    return found


def _answer(pieces: Iterable[bytes]) -> dict[str, object]:
    reader = AnswerReader()
    text, reasoning = "", ""
    for piece in pieces:
        if reader.done or reader.broken is not None:
            break
        text, reasoning = _taken(reader, reader.receive(piece), text, reasoning)
    if not reader.done and reader.broken is None:
        text, reasoning = _taken(reader, reader.end(), text, reasoning)
    return {
        "text": text,
        "reasoning": reasoning,
        "done": reader.done,
        "broken": reader.broken and (reader.broken.kind, reader.broken.message),
        "broken_off": reader.broken_off,
        "finish_reason": reader.finish_reason,
        "usage": reader.usage,
        "tool_calls": reader.tool_calls,
    }


def _taken(reader: AnswerReader, said: str, text: str, reasoning: str) -> tuple[str, str]:
    """The pieces of a read are what it said, and every one of them says something."""
    assert all(piece.content for piece in reader.pieces)
    assert "".join(each.content for each in reader.pieces if not each.is_reasoning) == said
    return text + said, reasoning + "".join(
        each.content for each in reader.pieces if each.is_reasoning
    )


def _check_answer(answer: dict[str, object]) -> None:
    text, reasoning = str(answer["text"]), str(answer["reasoning"])
    for each in (text, reasoning):
        each.encode()
        assert "\0" not in each
    assert len(reasoning.encode()) <= REASONING_MAX_BYTES
    tool_calls = answer["tool_calls"]
    assert isinstance(tool_calls, int)
    assert 0 <= tool_calls <= TOOL_CALLS_MAX
    # It is over, or it is broken, and never both.
    assert bool(answer["done"]) is (answer["broken"] is None)
