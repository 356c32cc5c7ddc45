"""A session's history as its owner remembers it: what Redis has, or nothing."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import rule

from schemas.transcript import Forgotten, Message, Place
from tests.unit.workers.history.folds import AnyFold, at_hand
from workers.history import recent_histories
from workers.history.prompt import Turn
from workers.history.recent_histories import RecentHistories
from workers.history.turns import merged, turn_pair

EPOCH = 3
BUDGET = 60


def ended(message_id: str, offset: int, text: str = "yes") -> Message:
    place = Place(EPOCH, offset)
    said = 1 if text else 0
    return Message(
        message_id, state="complete", first=place, last=place, last_sequence=said, contents=[text]
    )


def turns(message_id: str, offset: int, text: str = "yes") -> list[Turn]:
    return turn_pair(message_id, "?", text, epoch=EPOCH, offset=offset)


def ids(found: Sequence[Turn] | None) -> list[str] | None:
    return None if found is None else [turn.message_id for turn in found if turn.role == "user"]


def test_what_was_loaded_and_merged_is_known() -> None:
    recent = RecentHistories(BUDGET)
    assert recent.find("s", at_hand()) is None
    recent.loaded("s", turns("m1", 5), at_hand())
    assert ids(recent.find("s", at_hand())) == ["m1"]
    recent.stored("s", turns("m2", 12))
    assert ids(recent.find("s", at_hand(ended("m2", 12), position=13))) == ["m1", "m2"]


def test_turns_alone_are_no_history() -> None:
    recent = RecentHistories(BUDGET)
    recent.stored("s", turns("m1", 5))
    assert recent.find("s", at_hand()) is None


def test_an_end_that_is_not_in_it_sends_to_redis() -> None:
    """Another has owned the shard meanwhile, or Redis has not answered yet."""
    recent = RecentHistories(BUDGET)
    recent.loaded("s", turns("m1", 5), at_hand())
    assert recent.find("s", at_hand(ended("m2", 12), position=13)) is None
    recent.loaded("s", turns("m1", 5), at_hand())
    without_text = ended("m3", 12, text="")
    assert ids(recent.find("s", at_hand(without_text, position=13))) == ["m1"]


def test_a_fold_with_a_hole_sends_to_redis() -> None:
    for hole in (
        None,
        at_hand(start=11, position=20, forgotten_to=11),
        at_hand(position=20, forgotten_to=11),
        at_hand(position=9),
        at_hand(position=20, forgotten=Forgotten(Place(EPOCH, 11), Place(EPOCH, 4))),
    ):
        recent = RecentHistories(BUDGET)
        recent.loaded("s", turns("m1", 5), at_hand())
        assert recent.find("s", hole) is None
        assert recent.find("s", at_hand()) is None, "it is asked for anew"


def test_what_must_not_be_believed_is_gone() -> None:
    recent = RecentHistories(BUDGET)
    recent.loaded("s", turns("m1", 5), at_hand())
    recent.forget("s")
    recent.stored("s", turns("m2", 6))
    assert recent.find("s", at_hand()) is None


def test_it_is_bounded_in_sessions_and_in_bytes() -> None:
    recent = RecentHistories(BUDGET)
    for number in range(recent_histories.SESSIONS_MAX + 1):
        recent.loaded(f"s{number}", turns("m1", 5), at_hand())
    assert recent.find("s0", at_hand()) is None
    assert recent.find("s1", at_hand()) is not None
    recent = RecentHistories(10**9)
    text = "x" * (recent_histories.BYTES_MAX // 3)
    for number in range(3):
        recent.loaded(f"s{number}", turns("m1", 5, text), at_hand())
    assert [recent.find(f"s{number}", at_hand()) is None for number in range(3)] == [
        True,
        False,
        False,
    ]


class OneSession(AnyFold):
    """Messages end in a log; owners of the shard merge their turns into Redis."""

    def __init__(self) -> None:
        super().__init__()
        self.recent = RecentHistories(BUDGET)
        self.redis: list[Turn] = []
        self.ends: list[Message] = []

    @property
    def end(self) -> int:
        return len(self.ends)

    @rule(text=st.sampled_from(["", "yes", "x" * 200]), ours=st.booleans())
    def a_message_ends(self, text: str, ours: bool) -> None:
        offset = len(self.ends)
        self.ends.append(ended(f"m{offset}", offset, text))
        if text:
            new = turns(f"m{offset}", offset, text)
            self.redis = merged(self.redis, new, BUDGET)
            if ours:
                self.recent.stored("s", new)

    @rule()
    def an_answer_begins(self) -> None:
        found = self.recent.find("s", self.at_hand(*self.ends))
        if found is None:
            self.recent.loaded("s", self.redis, self.at_hand(*self.ends))
        else:
            assert list(found) == self.redis


TestOneSession = OneSession.TestCase
