"""Each rule that the chaos can break still has its text in the code."""

import pytest

from tests.faults.breaks import BREAKS, ROOT, SHOWN_BY, broken
from tests.faults.every import CHAOS


@pytest.mark.parametrize("name", BREAKS)
def test_it_fits(name: str) -> None:
    sources = {each.file: (ROOT / each.file).read_text() for each in BREAKS[name]}
    for change in BREAKS[name]:
        sources[change.file] = broken(change, sources[change.file])
        if change.file.endswith(".py"):
            compile(sources[change.file], change.file, "exec")


@pytest.mark.parametrize("name", BREAKS)
def test_there_are_faults_that_show_it(name: str) -> None:
    for begins in SHOWN_BY[name]:
        assert [each for each in CHAOS if each.name.startswith(begins)]
