"""What a benchmark tells of its figures. Its figures themselves decide no test."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.picture import drawn
from tests.bench.results import ALL, DIRECT, OURS, P50, P99, Results, keep, kept


def figures(cpu: float, late: float, **tiers: float) -> dict[str, float]:
    told = {f"CPU s {tier}": value for tier, value in tiers.items()}
    return {"tokens/s": 100.0, P50: late / 2, P99: late, **told, ALL: cpu}


RESULTS = Results(
    {
        "A": {
            DIRECT: [figures(cpu, 50.0, server=cpu) for cpu in (30.0, 10.0, 20.0)],
            OURS: [figures(15.0, 100.0, gateway=5.0, worker=10.0)],
        }
    },
    {DIRECT: {"server": 1.0}, OURS: {"gateway": 2.0, "worker": 3.0}},
)


def test_the_ratio_of_the_medians_comes_first() -> None:
    first = RESULTS.table().strip().splitlines()[0]
    assert first.startswith(
        "A: talklog has 0.75 x the CPU a token of the direct server, 2.00 x its"
    )
    assert "at rest, talklog: 5.0 ms of CPU a second (gateway 2.0, worker 3.0)" in RESULTS.table()


def test_what_was_kept_is_compared_by_the_ratios(tmp_path: Path) -> None:
    before = kept(str(keep(RESULTS, tmp_path / "before.json")))
    dearer = {"A": {**RESULTS.loads["A"], OURS: [figures(30.0, 100.0, gateway=30.0)]}}
    told = Results(dearer, RESULTS.idle).beside(before)
    assert f"A: {ALL} 2.00" in told
    assert f"A: {P99} 1.00" in told


def test_a_name_of_nothing_says_what_there_is() -> None:
    with pytest.raises(SystemExit, match=r"--compare nothing: 0 files of figures"):
        kept("nothing")


def test_the_picture_shows_every_tier_and_is_xml() -> None:
    picture = ElementTree.fromstring(drawn(RESULTS))
    told = "".join(picture.itertext())
    for word in ("gateway 5.0", "worker 10.0", "server 20.0", "0.75 x", "talklog"):
        assert word in told
