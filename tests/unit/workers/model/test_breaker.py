"""The breaker in a few stories, and held to its rules whatever the order of calls."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workers.model.breaker import Breaker, BreakerState, Heard, Permit

FAILURES = 3
OPEN_S = 10.0


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
    for _ in range(FAILURES):
        call(breaker, Heard.FAILED, at)
    return breaker


def call(breaker: Breaker, heard: Heard, now: float = 0.0) -> None:
    permit = breaker.ask(now)
    assert permit is not None
    breaker.ended(permit, heard, now)


def test_it_opens_at_the_last_of_so_many_failures_in_a_row() -> None:
    breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
    for _ in range(FAILURES - 1):
        call(breaker, Heard.FAILED)
    assert breaker.state(0.0) is BreakerState.CLOSED
    call(breaker, Heard.FAILED)
    assert breaker.state(0.0) is BreakerState.OPEN
    assert breaker.ask(OPEN_S - 0.001) is None


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
    for heard in [Heard.FAILED, Heard.FAILED, Heard.ANSWERED] * 5:
        call(breaker, heard)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_a_call_given_up_neither_counts_nor_begins_the_count_anew() -> None:
    breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
    for heard in [Heard.FAILED, Heard.NOTHING, Heard.FAILED, Heard.NOTHING]:
        call(breaker, heard)
    assert breaker.state(0.0) is BreakerState.CLOSED
    call(breaker, Heard.FAILED)
    assert breaker.state(0.0) is BreakerState.OPEN


def test_it_says_how_long_nothing_is_asked() -> None:
    breaker = opened(at=100.0)
    assert breaker.left_s(104.0) == 6.0
    assert breaker.left_s(110.0) == 0.0
    assert Breaker(failures=1, open_s=OPEN_S).left_s(0.0) == 0.0


def test_an_answered_probe_closes_it() -> None:
    breaker = opened()
    probe = breaker.ask(OPEN_S)
    assert probe is not None
    assert breaker.ask(OPEN_S + 1e6) is None
    assert breaker.state(OPEN_S) is BreakerState.HALF_OPEN
    breaker.ended(probe, Heard.ANSWERED, OPEN_S + 1)
    assert breaker.state(OPEN_S + 1) is BreakerState.CLOSED
    assert breaker.ask(OPEN_S + 1) == breaker.ask(OPEN_S + 1) != probe


def test_a_failed_probe_opens_it_again_for_the_whole_time() -> None:
    breaker = opened()
    probe = breaker.ask(OPEN_S + 5)
    assert probe is not None
    breaker.ended(probe, Heard.FAILED, OPEN_S + 7)
    assert breaker.left_s(OPEN_S + 7) == OPEN_S


def test_after_a_probe_that_was_given_up_another_may_go() -> None:
    breaker = opened()
    call(breaker, Heard.NOTHING, OPEN_S)
    assert breaker.state(OPEN_S) is BreakerState.HALF_OPEN
    call(breaker, Heard.ANSWERED, OPEN_S)
    assert breaker.state(OPEN_S) is BreakerState.CLOSED


def test_calls_that_fail_late_do_not_hold_it_open() -> None:
    breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
    permits = [breaker.ask(0.0) for _ in range(50)]
    for now, permit in enumerate(permits):
        assert permit is not None
        breaker.ended(permit, Heard.FAILED, float(now))
    assert breaker.left_s(FAILURES - 1) == OPEN_S


def test_a_call_from_before_decides_nothing_for_the_probe() -> None:
    breaker = Breaker(failures=1, open_s=OPEN_S)
    failing, slow, slower = breaker.ask(0.0), breaker.ask(0.0), breaker.ask(0.0)
    assert failing is not None
    assert slow is not None
    assert slower is not None
    breaker.ended(failing, Heard.FAILED, 0.0)
    probe = breaker.ask(OPEN_S)
    assert probe is not None
    breaker.ended(slow, Heard.ANSWERED, OPEN_S)
    breaker.ended(slower, Heard.FAILED, OPEN_S)
    assert breaker.state(OPEN_S) is BreakerState.HALF_OPEN
    assert breaker.ask(OPEN_S) is None
    breaker.ended(probe, Heard.ANSWERED, OPEN_S)
    assert breaker.state(OPEN_S) is BreakerState.CLOSED


@given(
    failures=st.integers(1, 5),
    heard=st.lists(st.sampled_from([Heard.ANSWERED, Heard.NOTHING]), max_size=40),
)
def test_without_a_failure_it_never_opens(failures: int, heard: list[Heard]) -> None:
    breaker = Breaker(failures=failures, open_s=OPEN_S)
    for each in heard:
        call(breaker, each)
    assert breaker.state(0.0) is BreakerState.CLOSED


class AnyCalls(RuleBasedStateMachine):
    """Calls begin, end in any order, say anything, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(failures=FAILURES, open_s=OPEN_S)
        self.now = 0.0
        self.in_flight: list[Permit] = []
        self.failed_in_a_row = 0

    # Eighths of a second: sums and differences of them are exact.
    @rule(eighths=st.integers(0, int(16 * OPEN_S)))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths / 8

    @rule()
    def a_call_begins(self) -> None:
        state = self.breaker.state(self.now)
        permit = self.breaker.ask(self.now)
        if state is BreakerState.OPEN:
            assert permit is None
        if state is BreakerState.CLOSED:
            assert permit is not None
            assert not permit.probe
        if permit is not None:
            assert permit.probe == (state is BreakerState.HALF_OPEN)
            self.in_flight.append(permit)

    @precondition(lambda self: self.in_flight)
    @rule(heard=st.sampled_from(Heard), which=st.integers(0, 1000))
    def a_call_ends(self, heard: Heard, which: int) -> None:
        permit = self.in_flight.pop(which % len(self.in_flight))
        before = self.breaker.state(self.now)
        left_s = self.breaker.left_s(self.now)
        self.breaker.ended(permit, heard, self.now)
        after = self.breaker.state(self.now)
        self.failed_in_a_row = 0 if heard is Heard.ANSWERED else self.failed_in_a_row
        self.failed_in_a_row += heard is Heard.FAILED
        if before is BreakerState.CLOSED and after is not before:
            # Failures of calls from earlier periods may be among them, so it is at least so many.
            assert heard is Heard.FAILED
            assert self.failed_in_a_row >= FAILURES
        if before is BreakerState.OPEN:
            assert (after, self.breaker.left_s(self.now)) == (before, left_s)
        if before is BreakerState.HALF_OPEN and after is not before:
            assert permit.probe
            assert (after is BreakerState.CLOSED) == (heard is Heard.ANSWERED)

    @invariant()
    def one_probe_at_most(self) -> None:
        assert sum(permit.probe for permit in self.in_flight) <= 1

    @invariant()
    def never_open_for_longer_than_its_time(self) -> None:
        assert self.breaker.left_s(self.now) <= OPEN_S

    def teardown(self) -> None:
        """However it went: when every call has ended, one answer after the time closes it."""
        for permit in self.in_flight:
            self.breaker.ended(permit, Heard.NOTHING, self.now)
        later = self.now + OPEN_S
        call(self.breaker, Heard.ANSWERED, later)
        assert self.breaker.state(later) is BreakerState.CLOSED


TestAnyCalls = AnyCalls.TestCase
