"""What is at hand of a session, and a fold that forgets and begins anew at any moment."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from schemas.transcript import Forgotten, Message
from workers.intake.shard_fold import AtHand


def at_hand(
    *messages: Message,
    start: int = 0,
    position: int = 10,
    forgotten_to: int = 0,
    forgotten: Forgotten | None = None,
) -> AtHand:
    """Give it as the fold would, of these messages."""
    return AtHand(start, position, forgotten_to, messages, forgotten)


class AnyFold(RuleBasedStateMachine):
    """A log of `end` records, and a fold of it; what is done with both is the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.start = self.forgotten_to = 0

    @property
    def end(self) -> int:
        """How long the log is."""
        raise NotImplementedError

    def at_hand(self, *messages: Message) -> AtHand:
        """Give what the fold has, of those of these messages that it has not forgotten."""
        kept = [each for each in messages if each.last and each.last.offset >= self.forgotten_to]
        return AtHand(self.start, self.end, self.forgotten_to, kept)

    @rule(count=st.integers(1, 4))
    def the_fold_forgets(self, count: int) -> None:
        """Drop the oldest."""
        self.forgotten_to = min(self.end, self.forgotten_to + count)

    @rule(before=st.integers(0, 4))
    def the_fold_begins_anew(self, before: int) -> None:
        """Follow the shard from there on."""
        self.start = self.forgotten_to = max(0, self.end - before)
