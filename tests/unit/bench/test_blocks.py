"""Which stretches of a profile are blocks of the loop."""

import json
from pathlib import Path

from tests.bench.blocks import Stretch, longest

BELOW = ["<module>", "main", "Runner.run", "run_until", "Handle._run"]
RUNS, TAKES, WAITS = [*BELOW, "take"], [*BELOW, "take", "decode"], BELOW[:3]


def written(folder: Path, *threads: tuple[str, list[list[str]]]) -> Path:
    """A profile of looks that are a hundredth of a second apart."""
    names = sorted({name for _, looks in threads for look in looks for name in look})
    profile = folder / "profile.json"
    frames = [{"name": name, "file": "f.py", "line": 1} for name in names]
    profiles = [
        {
            "name": name,
            "samples": [[names.index(each) for each in look] for look in looks],
            "weights": [0.01] * len(looks),
        }
        for name, looks in threads
    ]
    profile.write_text(json.dumps({"shared": {"frames": frames}, "profiles": profiles}))
    return profile


def test_looks_at_work_in_a_row_are_one_stretch_and_a_wait_ends_it(tmp_path: Path) -> None:
    looks = [WAITS, RUNS, WAITS, RUNS, TAKES, TAKES, [], RUNS, RUNS]
    found = longest(written(tmp_path, ("Process 1 Thread 1 MainThread", looks)), 2)
    assert [round(each.took_s, 3) for each in found] == [0.03, 0.02]
    assert [round(each.at_s, 3) for each in found] == [0.03, 0.07]
    assert list(found[0].frames) == ["take (f.py:1)", "decode (f.py:1)"]


def test_other_threads_do_not_block_the_loop(tmp_path: Path) -> None:
    others = ("Thread 2 (watchdog)", [RUNS] * 9)
    assert longest(written(tmp_path, others, ("MainThread", [WAITS])), 5) == list[Stretch]()
