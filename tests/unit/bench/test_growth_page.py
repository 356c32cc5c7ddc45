"""The slopes of the page "growth", and what it shows and keeps."""

import json
from pathlib import Path

import pytest

from tests.bench.growth_page import Growth, Row, keep, slope, table

SIZES = (100, 1_000, 10_000)


@pytest.mark.parametrize(
    ("values", "expected"),
    [((5, 5, 5), 0.0), ((1, 10, 100), 1.0), ((1, 100, 10_000), 2.0), ((8, 4, 2), -0.301)],
)
def test_the_slope_is_that_of_the_logarithms(values: tuple[float, ...], expected: float) -> None:
    assert slope(SIZES, values) == pytest.approx(expected, abs=0.001)


def test_there_is_no_slope_of_one_size_or_of_nothing() -> None:
    assert slope((100,), (5,)) is None
    assert slope((100, 100), (5, 6)) is None
    assert slope((100, 1_000), (0, 5)) is None


def test_each_row_shows_its_figures_and_the_slope_since_the_row_before(tmp_path: Path) -> None:
    rows = (Row(100, 2.0, 4.0, 0.5), Row(1_000, 20.0, 4.0), Row(10_000, 20.0, 40.0))
    page = [Growth("cursors", "ms a cursor", rows)]
    told = [line.split() for line in table(page).strip().splitlines()]
    assert told[0][:5] == ["cursors", "CPU,", "ms", "a", "cursor"]
    assert told[1] == ["100", "2.000", "4.000", "0.5"]
    assert told[2] == ["1,000", "20.000", "+1.00", "4.000", "+0.00", "0.0"]
    assert told[3] == ["10,000", "20.000", "+0.00", "40.000", "+1.00", "0.0"]
    assert told[4] == ["over", "all", "sizes", "+0.50", "+0.50"]
    [kept] = json.loads(keep(page, tmp_path / "growth.json").read_text())
    assert kept["what"] == "cursors"
    assert kept["rows"][2] == {"size": 10_000, "cpu": 20.0, "p99_ms": 40.0, "foreign_cores": 0.0}
