"""The threat model names tests that there are: what nothing shows is only said."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threat-model.md"


def test_every_test_that_it_names_is_there() -> None:
    files = list((ROOT / "tests").rglob("test_*.py"))
    known = {path.name for path in files}
    for path in files:
        known.update(re.findall(r"def (test_\w+)", path.read_text()))
    named = set(re.findall(r"`(test_\w+(?:\.py)?)`", PAGE.read_text()))
    assert len(named) > 15
    assert named - known == set()
    places = re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text())
    assert [place for place in places if not (ROOT / place).exists()] == []
