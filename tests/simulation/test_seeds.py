"""Many seeds: whatever happens, in whatever order, the rules hold."""

import pytest

from tests.simulation.run import run

SEEDS = range(70)
STEPS = 1_000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rules_hold(seed: int) -> None:
    one = run(seed, STEPS)
    assert one.broken is None, f"python -m tests.simulation --seed {seed} --steps {STEPS}"
