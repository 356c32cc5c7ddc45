"""What the fuzzer has found worth keeping goes through its target each time, without the fuzzer."""

from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, ENTRY_MAX_BYTES, KEPT_MAX, TARGETS, checker, entries


@pytest.mark.parametrize(
    ("target", "entry"),
    [
        pytest.param(each, path, id=f"{each}-{path.name}")
        for each in TARGETS
        for path in entries(each)
    ],
)
def test_every_entry_holds(target: str, entry: Path) -> None:
    checker(target)(entry.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_is_small(target: str) -> None:
    kept = entries(target)
    assert 0 < len(kept) <= KEPT_MAX
    assert max(path.stat().st_size for path in kept) <= ENTRY_MAX_BYTES


def test_there_is_a_corpus_for_each_target_and_for_nothing_else() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
