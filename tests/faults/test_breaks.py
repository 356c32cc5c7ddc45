"""Each rule that the chaos can break still has its text in the code."""

import pytest

from tests.faults.breaks import BREAKS, ROOT, broken


@pytest.mark.parametrize("name", BREAKS)
def test_it_fits(name: str) -> None:
    sources = {each.file: (ROOT / each.file).read_text() for each in BREAKS[name]}
    for change in BREAKS[name]:
        sources[change.file] = broken(change, sources[change.file])
        if change.file.endswith(".py"):
            compile(sources[change.file], change.file, "exec")
