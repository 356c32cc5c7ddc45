"""Cases of one rule that exists twice: merging turns, in turns.py and in redis_history.lua."""

from dataclasses import dataclass

from hypothesis import strategies as st

from workers.history.prompt import Turn
from workers.history.turns import turn_pair


@dataclass(frozen=True, slots=True)
class Case:
    """Turns that are stored, turns that come, and what is kept of both."""

    story: str
    stored: list[Turn]
    new: list[Turn]
    budget_tokens: int
    kept: list[Turn]


def pair(number: int, answer: str = "said", *, epoch: int = 1, place: int = 0) -> list[Turn]:
    """Two turns of message m<number>, 10 tokens with the answer as it is."""
    return turn_pair(f"m{number}", "ask", answer, epoch=epoch, offset=place or number * 10)


M1, M2, M3, M9 = pair(1), pair(2), pair(3), pair(9)
HUGE = pair(7, "x" * 400)

CASES = [
    Case("nothing at all", [], [], 30, []),
    Case("the first message", [], M1, 30, M1),
    Case("a message behind another", M1, M2, 30, [*M1, *M2]),
    Case("an older message comes late", M2, M1, 30, [*M1, *M2]),
    Case("a message comes again", [*M1, *M2], M1, 30, [*M1, *M2]),
    Case("another text of the same end", M1, pair(1, "new"), 30, pair(1, "new")),
    Case(
        "a message that ended again later",
        [*pair(1, "old"), *M2],
        pair(1, "new", place=30),
        30,
        [*M2, *pair(1, "new", place=30)],
    ),
    Case(
        "an earlier end of a known message",
        [*M2, *pair(1, "new", place=30)],
        pair(1, "old"),
        30,
        [*M2, *pair(1, "new", place=30)],
    ),
    Case("offsets begin again in a new epoch", M9, pair(1, epoch=2), 30, [*M9, *pair(1, epoch=2)]),
    Case("the oldest goes first", [*M1, *M2], M3, 20, [*M2, *M3]),
    Case("one message may cross the budget", [*M1, *M2], M3, 15, [*M2, *M3]),
    Case("a trimmed message comes again", [*M2, *M3], M1, 20, [*M2, *M3]),
    Case("behind a huge message nothing older is kept", [*HUGE, *M9], M1, 30, [*HUGE, *M9]),
    Case("a huge newest message stands alone", M1, HUGE, 30, HUGE),
    Case(
        "bytes count, not characters", M1, [*pair(2, "é" * 20), *M3], 29, [*pair(2, "é" * 20), *M3]
    ),
    Case("several at once, unordered", M2, [*M3, *M1], 99, [*M1, *M2, *M3]),
    Case(
        "odd text",
        pair(1, '"\\/\u2028\x7f\x01😀'),
        pair(2, "a/b\r\n\t"),
        99,
        [*pair(1, '"\\/\u2028\x7f\x01😀'), *pair(2, "a/b\r\n\t")],
    ),
    Case(
        "great offsets",
        M1,
        pair(2, place=99_999_999_999_999),
        99,
        [*M1, *pair(2, place=99_999_999_999_999)],
    ),
]


def _turns(ends: dict[str, tuple[int, int]]) -> list[Turn]:
    return [
        turn
        for message_id, (epoch, offset) in ends.items()
        for turn in turn_pair(
            message_id,
            "?",
            "é😀a"[offset % 3] * (offset % 11 + epoch),
            epoch=epoch,
            offset=offset,
        )
    ]


_PLACES = st.tuples(st.integers(1, 3), st.integers(0, 40))

TURNS = st.lists(_PLACES, max_size=8, unique=True).map(
    lambda places: _turns({f"m{epoch}-{offset}": (epoch, offset) for epoch, offset in places})
)
"""Messages in any order; each ends once, as it is in a log."""

TURNS_AGAIN = st.dictionaries(st.sampled_from(["m1", "m2", "m3", "m4"]), _PLACES).map(_turns)
"""Messages that may end again elsewhere, as when topics are made anew and a message is resent."""
