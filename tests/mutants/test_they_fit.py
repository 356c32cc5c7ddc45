"""Every change still fits the code it breaks; trying them all takes minutes (`make mutants`)."""

from pathlib import Path

import pytest

from tests.mutants.changes import MUTANTS, Mutant, misfit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_that_is_changed_stands_there_once(mutant: Mutant) -> None:
    assert misfit(mutant, (ROOT / mutant.file).read_text()) is None
    for test in mutant.tests:
        assert (ROOT / test).exists(), test


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
