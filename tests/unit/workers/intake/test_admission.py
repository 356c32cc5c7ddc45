"""Who starts when there is admission."""

import pytest

from schemas.events import UserMessage
from workers.intake.admission import (
    PATIENCE_S,
    SUSPECT_STEPS_BACK_S,
    TRIAL_S,
    TWICE_PATIENCE_S,
    Admission,
    Beside,
    Verdict,
)
from workers.intake.decision import Care
from workers.intake.state import Work

FRESH, SPOKE, SUSPECT, TWICE = Care
MUTE = "a fresh one in its first moments"
SPOKE_MUTE = "one that had spoken, in its first moments"
TRIED = "a suspect in its first moments"
TRIED_TWICE = "one that has died twice, in its first moments"


def beside(*running: Care | str) -> Beside:
    return Beside(
        running=len(running),
        on_trial=TRIED in running or TRIED_TWICE in running,
        twice_on_trial=TRIED_TWICE in running,
        spoke_mute=SPOKE_MUTE in running,
        any_mute=bool({MUTE, SPOKE_MUTE, TRIED, TRIED_TWICE} & set(running)),
    )


def starts(admission: Admission, running: list[Care | str], now_s: float) -> list[Work]:
    return admission.next(beside(*running), now_s)


def work(token: int, care: Care = FRESH) -> Work:
    message = UserMessage(
        session_id="s", message_id=f"m{token}", created_at="2026-01-01T00:00:00.000Z", content="?"
    )
    made = Work(
        token=token,
        shard=0,
        generation=1,
        message=message,
        offsets=[token],
        accepted_ms=0,
        traceparent=None,
        asked_before=0,
    )
    made.suspicion.care = care
    return made


def ready(max_running: int, *works: Work) -> Admission:
    admission = Admission(max_running)
    for each in works:
        admission.ask(each, 100.0)
    return admission


def test_first_come_first_served_up_to_the_bound() -> None:
    one, two, three = work(1), work(2), work(3)
    admission = ready(3, one, two, three)
    admission.ask(one, 200.0)
    assert starts(admission, [FRESH], 100.0) == [one, two]
    admission.leave(one)
    assert starts(admission, [FRESH], 100.0) == [two, three]
    assert starts(admission, [FRESH] * 3, 100.0) == []


def test_what_died_twice_is_tried_while_nothing_else_is_in_its_first_moments() -> None:
    poison, other = work(1, TWICE), work(2)
    admission = ready(10, poison, other)
    assert starts(admission, [FRESH], 100.0) == [other]
    later = 100.0 + SUSPECT_STEPS_BACK_S
    assert starts(admission, [MUTE], later) == []
    assert starts(admission, [FRESH], later) == [poison]
    admission.leave(poison)
    assert starts(admission, [TRIED_TWICE], later) == []
    assert starts(admission, [TWICE], later) == [other]


def test_what_had_spoken_starts_at_once_and_the_suspect_when_that_has_spoken_again() -> None:
    suspect, spoke, fresh = work(1, SUSPECT), work(2, SPOKE), work(3)
    admission = ready(10, spoke, suspect, fresh)
    assert starts(admission, [], 100.0) == [spoke, fresh]
    admission.leave(spoke)
    admission.leave(fresh)
    later = 100.0 + SUSPECT_STEPS_BACK_S
    assert starts(admission, [SPOKE_MUTE, MUTE], later) == []
    assert starts(admission, [SPOKE, MUTE], later) == [suspect]
    assert starts(admission, [SPOKE_MUTE, MUTE], 100.0 + PATIENCE_S) == [suspect]


def test_what_had_spoken_does_not_begin_beside_one_that_has_died_twice() -> None:
    spoke = work(1, SPOKE)
    admission = ready(10, spoke)
    assert starts(admission, [TRIED_TWICE], 100.0) == []
    assert starts(admission, [TWICE], 100.0) == [spoke]
    assert starts(admission, [TRIED], 100.0) == [spoke]


def test_of_the_suspects_it_is_the_one_that_had_started_last() -> None:
    early, last = work(1, SUSPECT), work(2, SUSPECT)
    early.suspicion.mute_since_ms, last.suspicion.mute_since_ms = 5, 7
    admission = ready(10, early, last)
    later = 100.0 + SUSPECT_STEPS_BACK_S
    assert starts(admission, [], later) == [last]
    admission.leave(last)
    assert starts(admission, [TRIED], later) == []
    assert starts(admission, [SUSPECT], later) == [early]


def test_of_many_suspects_an_eighth_is_tried_at_a_time() -> None:
    admission = ready(200, *(work(token, SUSPECT) for token in range(17)))
    assert len(starts(admission, [], 100.0 + SUSPECT_STEPS_BACK_S)) == 3


def test_every_wait_is_bounded() -> None:
    suspect, twice, spoke, fresh = work(1, SUSPECT), work(2, TWICE), work(3, SPOKE), work(4)
    assert starts(ready(10, suspect), [SPOKE_MUTE], 100.0 + PATIENCE_S) == [suspect]
    assert starts(ready(10, twice), [MUTE], 100.0 + TWICE_PATIENCE_S) == [twice]
    assert starts(ready(10, spoke), [TRIED_TWICE], 100.0 + PATIENCE_S) == [spoke]
    assert starts(ready(10, fresh), [TRIED_TWICE], 100.0 + PATIENCE_S) == [fresh]


def test_each_that_waits_is_told_of_once() -> None:
    one, two = work(1), work(2)
    admission = ready(1, one, two)
    admission.leave(one)
    assert admission.take_untold() == [two]
    assert admission.take_untold() == []
    assert two in admission
    assert one not in admission


@pytest.mark.parametrize("care", [SUSPECT, TWICE])
@pytest.mark.parametrize("suspects", [20, 200])
def test_whatever_the_number_of_suspects_a_fresh_message_waits_ten_seconds_at_most(
    care: Care, suspects: int
) -> None:
    """200 messages with two unended starts held every fresh one for 4,016 s, 20 suspects 433 s."""
    admission = ready(1000, *(work(token, care) for token in range(suspects)))
    trials: dict[int, float] = {}
    fresh: dict[int, float] = {}
    longest_s = 0.0
    step_s = 0.1
    for step in range(int(suspects * (TRIAL_S + 2 * step_s) / step_s)):
        now_s = 100.0 + step * step_s
        if step % 10 == 0:
            token = 10_000 + step
            fresh[token] = now_s
            admission.ask(work(token), now_s)
        mute = [began_s for began_s in trials.values() if now_s - began_s < TRIAL_S]
        tried: list[Care | str] = [TRIED if care is SUSPECT else TRIED_TWICE for _ in mute]
        for started in admission.next(beside(*tried), now_s):
            admission.leave(started)
            if started.token in fresh:
                longest_s = max(longest_s, now_s - fresh.pop(started.token))
            else:
                trials[started.token] = now_s
    assert len(trials) == suspects, "every suspect has had its turn"
    assert longest_s <= 10.0


RULES: list[tuple[int, bool, Care, list[Care | str], float, list[Care]]] = [
    (1, False, FRESH, [FRESH, FRESH], 0.0, []),
    (2, True, FRESH, [TRIED_TWICE], PATIENCE_S, []),
    (2, True, SPOKE, [TRIED_TWICE], PATIENCE_S, [SUSPECT]),
    (3, True, SUSPECT, [SPOKE], SUSPECT_STEPS_BACK_S, []),
    (3, False, SUSPECT, [SPOKE_MUTE], SUSPECT_STEPS_BACK_S, []),
    (3, False, SUSPECT, [TRIED], PATIENCE_S, []),
    (3, True, TWICE, [FRESH], SUSPECT_STEPS_BACK_S, []),
    (3, False, TWICE, [MUTE], SUSPECT_STEPS_BACK_S, []),
    (4, False, FRESH, [TRIED_TWICE], 0.0, []),
    (4, False, SPOKE, [MUTE], SUSPECT_STEPS_BACK_S, [TWICE]),
    (5, True, FRESH, [TRIED], 0.0, [SUSPECT]),
    (5, True, SPOKE, [SUSPECT], 0.0, [SUSPECT]),
]


@pytest.mark.parametrize(("rule", "begins", "care", "running", "waited_s", "others"), RULES)
def test_each_rule_says_that_it_was_the_one(
    rule: int,
    begins: bool,
    care: Care,
    running: list[Care | str],
    waited_s: float,
    others: list[Care],
) -> None:
    asking = work(1, care)
    admission = ready(2, asking, *(work(token, other) for token, other in enumerate(others, 2)))
    verdict = admission.verdict(asking, beside(*running), 100.0 + waited_s)
    assert verdict == Verdict(begins, rule)


def test_how_long_the_first_waits_is_known_and_0_when_none_does() -> None:
    admission = ready(1, work(1))
    admission.ask(work(2, SUSPECT), 103.0)
    admission.ask(work(3), 104.0)
    assert admission.waited_s(110.0) == 10.0
    [started] = admission.next(beside(), 110.0)
    admission.leave(started)
    assert admission.waited_s(110.0) == 7.0, "the suspect"
    assert Admission(1).waited_s(110.0) == 0.0
