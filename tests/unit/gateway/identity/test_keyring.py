"""When keys are asked for again: the rules, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claims import BadToken, CantTell
from gateway.identity.keyring import KEPT_S, REASK_S, RETRY_FIRST_S, Keyring
from gateway.identity.keys import Keys, keys_of
from gateway.identity.signature import Head
from tests.unit.gateway.identity.minted import owner, published

EVERY_S = 300.0
OLD, NEW = owner("ES256", "old"), owner("ES256", "new")


def head(kid: str) -> Head:
    return Head("ES256", kid, None)


def keys(*names: str) -> Keys:
    return keys_of(published(*(owner("ES256", name) for name in names)))


def with_old() -> Keyring:
    """One that has read `old` at 0."""
    ring = Keyring(EVERY_S)
    ring.asked(0.0)
    ring.took(keys("old"), 0.0)
    return ring


def test_at_first_they_are_asked_for_at_once() -> None:
    ring = Keyring(EVERY_S)
    assert ring.ask_in_s(5.0) == 0.0
    assert ring.find(head("old"), 5.0) is None
    assert not ring.known(5.0)


def test_a_new_key_is_found_by_asking_and_the_one_that_went_is_gone() -> None:
    ring = with_old()
    now_s = REASK_S + 1
    assert ring.find(head("new"), now_s) is None
    ring.asked(now_s)
    ring.took(keys("new"), now_s)
    assert ring.find(head("new"), now_s) is not None
    with pytest.raises(BadToken):
        ring.find(head("old"), now_s)


def test_a_flood_of_unknown_names_asks_once_a_minute() -> None:
    ring, asked = with_old(), 0
    for number in range(10_000):
        now_s = number * 0.03  # 300 s of it
        try:
            unknown = ring.find(head(f"no{number}"), now_s) is None
        except BadToken:
            continue
        if unknown:
            ring.asked(now_s)
            ring.took(keys("old"), now_s)
            asked += 1
        assert ring.find(head("old"), now_s) is not None
    assert asked == 4


def test_they_are_asked_for_by_themselves_and_after_a_failure_sooner() -> None:
    ring = with_old()
    assert ring.ask_in_s(100.0) == EVERY_S - 100.0
    waits = []
    for _ in range(6):
        ring.asked(400.0)
        ring.failed("gone")
        waits.append(ring.ask_in_s(400.0))
    assert waits == [RETRY_FIRST_S, 10.0, 20.0, 40.0, REASK_S, REASK_S]
    ring.asked(400.0)
    ring.took(keys("old"), 400.0)
    assert ring.ask_in_s(400.0) == EVERY_S
    assert Keyring(1.0).ask_in_s(0.0) == 0.0


def test_while_the_owner_is_away_old_keys_count_and_new_ones_are_nobodys_guess() -> None:
    ring = with_old()
    ring.asked(400.0)
    ring.failed("ClientError")
    assert ring.find(head("old"), 401.0) is not None
    with pytest.raises(CantTell, match="ClientError"):
        ring.find(head("new"), 401.0)


def test_after_a_day_nobody_knows_which_keys_were_taken_back() -> None:
    ring = with_old()
    assert ring.known(KEPT_S)
    later_s = KEPT_S + 1
    ring.asked(later_s)
    ring.failed("gone")
    assert not ring.known(later_s)
    with pytest.raises(CantTell):
        ring.find(head("old"), later_s)


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.sampled_from(["find", "fail", "take"]), st.booleans()),
        max_size=40,
    )
)
def test_whatever_happens_unknown_names_ask_at_most_once_a_minute(
    steps: list[tuple[float, str, bool]],
) -> None:
    ring, now_s, asked_at_s = with_old(), 0.0, [0.0]
    for wait_s, then, known in steps:
        now_s += wait_s
        try:
            found = ring.find(head("old" if known else "new"), now_s)
        except (BadToken, CantTell):
            continue
        if found is not None:
            assert known
            continue
        assert now_s - asked_at_s[-1] >= REASK_S
        asked_at_s.append(now_s)
        ring.asked(now_s)
        if then == "take":
            ring.took(keys("old"), now_s)
        else:
            ring.failed("gone")
