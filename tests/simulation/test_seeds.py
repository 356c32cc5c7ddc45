"""Many seeds: whatever happens, in whatever order, the rules hold."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.run import run

# A run is long on a loaded machine, and one that is cut looks like a broken rule.
pytestmark = pytest.mark.timeout(600)

SEEDS = range(100)
STEPS = 1_000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_hold(seed: int) -> None:
    one = run(seed, STEPS)
    assert one.broken is None, f"python -m tests.simulation --seed {seed} --steps {STEPS}"


@given(chance=st.randoms(use_true_random=False), steps=st.integers(20, 150))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_rules_hold_when_chance_seeks_the_shortest_story(
    chance: random.Random, steps: int
) -> None:
    """A seed that breaks a rule can't be made shorter; draws that Hypothesis made can."""
    one = run(0, steps, chance=chance)
    assert one.broken is None, "\n".join([*one.story, one.broken])
