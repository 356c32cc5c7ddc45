"""What CI meets of the faults is fair: soon everything, and the heart of it every time."""

import pytest

from tests.faults.every import CORE, FAULTS, SHARES, sample
from tests.faults.network import LINKS, NETWORK_WAYS


def names(seed: int) -> set[str]:
    """The names of all that happens, alone or at once with others."""
    return {name for fault in sample(seed) for name in fault.name.split(" + ")}


@pytest.mark.parametrize("first", [0, 1, 20_000])
def test_seeds_in_a_row_meet_every_fault_and_of_each_link_one_way(first: int) -> None:
    met = [name for seed in range(first, first + SHARES) for name in names(seed)]
    others = {fault.name for fault in FAULTS if not fault.name.startswith(LINKS)}
    assert others <= set(met)
    for link in LINKS:
        assert sum(name.startswith(f"{link}, ") for name in met) == 1, link


def test_a_few_turns_meet_every_fault_there_is() -> None:
    turns = range(SHARES * len(NETWORK_WAYS))
    assert {fault.name for fault in FAULTS} == set[str]().union(*map(names, turns))


@pytest.mark.parametrize("seed", range(SHARES))
def test_kill_9_of_each_tier_is_met_every_time(seed: int) -> None:
    assert {fault.name for fault in CORE} <= names(seed)
    assert {fault.hits for fault in CORE} == {"answering", "between", "storing", None}


@pytest.mark.parametrize("seed", range(SHARES))
def test_the_same_seed_is_the_same_sample(seed: int) -> None:
    assert [each.name for each in sample(seed)] == [each.name for each in sample(seed)]
