"""Random logs: whatever any number of workers could write, right or wrong, in any order."""

from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from schemas.events import Event
from tests.written import Say

SESSIONS = ["s1", "s2", "s3"]
MESSAGES = ["m1", "m2"]
ATTEMPTS = ["a1", "a2", "a\t3\\"]
ODD = ["", "\\", "\t\\t\\N", "\r\n\\.\n", "\\\\é\x07\u2028"]
"""What a text for COPY must not say as it is, or may."""


def any_event(chance: Random) -> Event:
    """One at random, for tests that are not driven by hypothesis."""
    said_at = chance.randrange(20)
    say = Say(chance.choice(SESSIONS), chance.choice(MESSAGES), prompt_offset=said_at)
    fence = (1, chance.randrange(1, 4), chance.randrange(1, 3))
    return _event(
        chance.choice(_KINDS), say, chance.choice(ATTEMPTS), chance.randrange(1, 6), fence
    )


_says = st.builds(Say, st.sampled_from(SESSIONS), st.sampled_from(MESSAGES))
_attempts = st.sampled_from(ATTEMPTS)
_sequences = st.integers(1, 5)
_fences = st.tuples(st.just(1), st.integers(1, 3), st.integers(1, 2))


def _event(kind: str, say: Say, attempt: str, sequence: int, fence: tuple[int, int, int]) -> Event:
    said = f"{say.message_id}{attempt}{sequence}"
    events: dict[str, Event] = {
        "said": say.said(f"said {sequence}"),
        "cancel": say.cancel(*_CANCELLED[sequence - 1]),
        "queued": say.queued(),
        "generating": say.generating(attempt, fence),
        "goes on": say.generating(attempt, fence, continues="a1"),
        "chunk": say.chunk(attempt, sequence, f"{said}{ODD[sequence - 1]} "),
        "thought": say.thought(attempt, sequence, f"{said}? "),
        "unstorable": say.chunk(attempt, sequence, "\0"),
        "alive": say.alive(attempt),
        "cancelling": say.cancelling(attempt),
        "released": say.released(attempt),
        "complete": say.complete(attempt, sequence),
        "failed": say.failed(attempt, "internal", sequence),
        "never began": say.complete(None, 0, "cancelled"),
    }
    return events[kind]


_CANCELLED: list[tuple[str | None, str | None]] = [
    (None, None),
    ("ada", None),
    ("eve", "2026-01-02T03:04:06.000Z"),
    ("bob", "2026-01-02T03:04:07.000Z"),
    (None, "2026-01-02T03:04:08.000Z"),
]
"""By whom and when."""
_KINDS = [
    *["generating", "generating", "goes on", "goes on"],
    *["chunk"] * 12,
    *["thought"] * 8,
    *[
        "said",
        "said",
        "cancel",
        "cancel",
        "cancel",
        "queued",
        "alive",
        "cancelling",
        "released",
        "unstorable",
    ],
    *["complete", "failed", "never began"],
]
events: SearchStrategy[list[Event]] = st.lists(
    st.builds(_event, st.sampled_from(_KINDS), _says, _attempts, _sequences, _fences), max_size=60
)
