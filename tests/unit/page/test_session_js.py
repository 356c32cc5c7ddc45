"""The page's modules that need no page, run by node: the shared vectors, and tests of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.page.node import ROOT, node

VECTORS = sorted((ROOT / "schemas" / "vectors").glob("*.json"))
TESTS = sorted((ROOT / "tests" / "javascript").glob("*.test.js"))


def cases() -> Iterator[tuple[str, str]]:
    for path in VECTORS:
        for case in json.loads(path.read_text()):
            yield path.name, case["name"]


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, str], list[str]]:
    """What JavaScript says of every case: its problems, none if it holds."""
    told: dict[tuple[str, str], list[str]] = {}
    for path in VECTORS:
        ran = node(ROOT / "tests" / "javascript" / "vectors.js", path)
        assert ran.returncode == 0, ran.stderr
        for line in ran.stdout.splitlines():
            result = json.loads(line)
            told[path.name, result["name"]] = result["problems"]
    return told


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case[0]}: {case[1]}")
def test_javascript_folds_as_the_vector_says(
    case: tuple[str, str], results: dict[tuple[str, str], list[str]]
) -> None:
    assert results[case] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_javascript_tests_pass(path: Path) -> None:
    ran = node("--test", "--test-reporter=tap", path)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    assert "# pass 0" not in ran.stdout
