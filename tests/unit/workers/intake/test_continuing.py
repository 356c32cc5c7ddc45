"""Does the next attempt go on with the text that is there, or begin anew?"""

from schemas.events import BEGIN_ANEW, SessionEvent
from schemas.transcript import Outcome
from tests.unit.schemas.log_of import alive, chunk, released, start
from workers.intake.actions import MessageKey
from workers.intake.continuing import continued_by_next
from workers.intake.shard_fold import ShardFold

M1 = MessageKey("s", "m1")
A1 = start("a1", (1, 1, 0))
A2 = start("a2", (1, 2, 0), continues="a1")
A3 = start("a3", (1, 3, 0), continues="a2")


def fold_of(*events: SessionEvent) -> ShardFold:
    fold = ShardFold(0, 1)
    for offset, event in enumerate(events):
        assert fold.apply(event, offset, offset, float(offset)) is not Outcome.FENCED
    return fold


def next_continues(*events: SessionEvent, possible: bool = True) -> str | None:
    return continued_by_next(fold_of(*events), M1, possible=possible)


def test_a_text_is_gone_on_with() -> None:
    assert next_continues(A1, chunk("a1", 1, "x")) == "a1"
    assert next_continues(A1, chunk("a1", 1, "x"), released("a1")) == "a1"


def test_also_one_that_may_still_come() -> None:
    assert next_continues(A1) == "a1"


def test_a_first_attempt_continues_nothing() -> None:
    assert continued_by_next(None, M1, possible=True) is None
    assert continued_by_next(ShardFold(0, 1), M1, possible=True) is None


def test_a_model_that_may_not_be_asked_to_is_not() -> None:
    assert next_continues(A1, chunk("a1", 1, "x"), possible=False) is None


def test_a_text_with_a_hole_is_not_gone_on_with() -> None:
    assert next_continues(A1, chunk("a1", 2, "x")) is None


def test_one_that_could_not_go_on_lets_the_next_begin_anew_and_only_that() -> None:
    cannot = (A1, chunk("a1", 1, "x"), A2, released("a2", reason=BEGIN_ANEW))
    assert next_continues(*cannot) is None
    assert next_continues(*cannot, start("a3", (1, 3, 0)), chunk("a3", 1, "y")) == "a3"


def test_a_text_of_which_two_starts_died_at_once_is_begun_anew() -> None:
    spoke = (A1, chunk("a1", 1, "x"))
    assert next_continues(*spoke, A2, chunk("a2", 1, "x")) == "a2"
    assert next_continues(*spoke, A2, chunk("a2", 1, "x"), A3, chunk("a3", 1, "x")) is None


def test_the_text_so_far_is_no_word_of_its_own() -> None:
    fold = fold_of(A1, chunk("a1", 1, "x"), A2, chunk("a2", 1, "x"))
    assert fold.is_mute(M1)
    assert fold.mute_deaths(M1) == 1
    assert not fold_of(A1, chunk("a1", 1, "x"), A2, chunk("a2", 1, "x"), alive("a2")).is_mute(M1)
    went_on = fold_of(A1, chunk("a1", 1, "x"), A2, chunk("a2", 1, "x"), chunk("a2", 2, "y"))
    assert not went_on.is_mute(M1)
    assert went_on.mute_deaths(M1) == 0


def test_a_sign_of_life_before_the_text_so_far_counts() -> None:
    fold = fold_of(A1, chunk("a1", 1, "x"), A2, alive("a2"), chunk("a2", 1, "x"))
    assert not fold.is_mute(M1)


def test_where_there_was_no_text_the_first_chunk_is_a_word() -> None:
    assert not fold_of(A1, A2, chunk("a2", 1, "x")).is_mute(M1)


def test_how_long_the_text_was_each_time() -> None:
    events = (A1, chunk("a1", 1, "xy"), A2, chunk("a2", 1, "xy"), chunk("a2", 2, "z"), A3)
    assert fold_of(*events).repeated_bytes(M1) == (2, 3)
    assert fold_of(*events, start("a4", (1, 4, 0))).repeated_bytes(M1) == ()
