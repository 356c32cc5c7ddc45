"""Which messages a session has surely not had, without asking anybody."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from schemas.transcript import Message, Place
from tests.unit.workers.history.folds import AnyFold, at_hand
from workers.history.known_messages import MESSAGES_MAX, SESSIONS_MAX, KnownMessages
from workers.intake.actions import MessageKey
from workers.intake.shard_fold import AtHand

EPOCH = 3


def message(message_id: str, offset: int) -> Message:
    place = Place(EPOCH, offset)
    return Message(message_id=message_id, state="complete", first=place, last=place)


def key(message_id: str, session_id: str = "s") -> MessageKey:
    return MessageKey(session_id, message_id)


def test_a_session_that_nobody_was_asked_for_is_not_known() -> None:
    assert not KnownMessages().lacks(key("m1"), at_hand())


def test_what_was_told_and_what_was_read_since_is_known() -> None:
    known = KnownMessages()
    known.learn("s", ["m1"], at_hand(message("m2", 9)))
    later = at_hand(message("m3", 12), position=20, forgotten_to=10)
    assert known.lacks(key("m4"), later)
    for had in ("m1", "m2", "m3"):
        assert not known.lacks(key(had), later)
    # What was noted then may be forgotten by the fold.
    assert known.lacks(key("m4"), at_hand(position=30, forgotten_to=20))
    assert not known.lacks(key("m3"), at_hand(position=30, forgotten_to=20))


def test_where_the_fold_has_a_hole_nothing_is_known() -> None:
    for hole in (
        at_hand(start=11, position=20, forgotten_to=11),  # it began anew
        at_hand(position=20, forgotten_to=11),  # it has forgotten what came since
        at_hand(position=9),  # it has not read so far again
    ):
        known = KnownMessages()
        known.learn("s", [], at_hand())
        assert not known.lacks(key("m1"), hole)
        assert not known.lacks(key("m1"), at_hand()), "it is asked for anew"


def test_a_session_of_many_messages_is_not_kept() -> None:
    known, most = KnownMessages(), [f"m{number}" for number in range(MESSAGES_MAX)]
    known.learn("s", most, at_hand())
    assert known.lacks(key("another"), at_hand())
    assert known.lacks(key("another"), at_hand(message("one more", 5)))
    assert not known.lacks(key("another"), at_hand(message("one more", 5)))
    known.learn("s", [*most, "one more"], at_hand())
    assert not known.lacks(key("another"), at_hand())


def test_the_session_asked_about_longest_ago_goes_first() -> None:
    known = KnownMessages()
    for number in range(SESSIONS_MAX):
        known.learn(f"s{number}", [], at_hand())
    assert known.lacks(key("m", "s0"), at_hand())
    known.learn("one more", [], at_hand())
    assert not known.lacks(key("m", "s1"), at_hand())
    assert known.lacks(key("m", "s0"), at_hand())


def test_a_forgotten_session_is_not_known() -> None:
    known = KnownMessages()
    known.learn("s", [], at_hand())
    known.forget("s")
    assert not known.lacks(key("m1"), at_hand())


IDS = st.sampled_from([f"m{number}" for number in range(6)])


class OneSession(AnyFold):
    """A log, a fold of it that forgets and begins anew, and a Postgres that is behind."""

    def __init__(self) -> None:
        super().__init__()
        self.known = KnownMessages()
        self.log: list[str] = []  # the message that the event at this offset names

    @property
    def end(self) -> int:
        return len(self.log)

    def fold(self) -> AtHand:
        last = {named: offset for offset, named in enumerate(self.log)}
        return self.at_hand(*(message(*each) for each in last.items()))

    @rule(named=IDS)
    def an_event(self, named: str) -> None:
        self.log.append(named)

    @rule(asked=IDS, behind=st.integers(0, 4))
    def a_message_comes(self, asked: str, behind: int) -> None:
        fold = self.fold()
        if self.known.lacks(key(asked), fold):
            assert asked not in self.log
            return
        heard_to = max(0, len(self.log) - behind)
        if fold.whole_from(heard_to):
            self.known.learn("s", set(self.log[:heard_to]), fold)


TestOneSession = OneSession.TestCase
