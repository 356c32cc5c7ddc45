"""The list of settings, for a terminal and as a page."""

from pathlib import Path

from deploy.documents.settings_list import markdown, sections, text
from schemas.process.settings import FILE, NAMES

PAGE = Path(__file__).parents[4] / "docs" / "settings.md"


def test_the_page_is_what_the_classes_say_now() -> None:
    assert PAGE.read_text() == markdown(), "run `make docs`"


def test_every_name_is_listed_with_its_meaning() -> None:
    listed = [setting for _, settings in sections() for setting in settings]
    told = {setting.name for setting in listed}
    assert {name for name in NAMES if not told & {name, name.removesuffix(FILE)}} == set()
    in_files = {name for name in NAMES if name.endswith(FILE) and name not in told}
    meanings = " ".join(setting.meaning for setting in listed)
    assert [name for name in in_files if name not in meanings] == []
    assert [setting.name for setting in listed if not setting.meaning] == []


def test_values_and_bounds_are_said() -> None:
    by_tier = dict(sections())
    shards = next(s for s in by_tier["every process"] if s.name == "TALKLOG_SHARDS")
    assert (shards.default, shards.allowed) == ("8", "whole number ≥ 1 ≤ 10,000")
    level = next(s for s in by_tier["every process"] if s.name == "TALKLOG_LOG_LEVEL")
    assert level.allowed == "debug, info, warning, error"
    epoch = next(s for s in by_tier["every process"] if s.name == "TALKLOG_EPOCH")
    assert epoch.default == "(required)"


def test_tiers_with_a_setting_of_one_name_each_show_their_own() -> None:
    tiers = [
        tier for tier, listed in sections() if any(s.name == "TALKLOG_GRACE_S" for s in listed)
    ]
    assert tiers == ["gateway", "workers", "persister"]


def test_a_terminal_gets_a_line_a_setting() -> None:
    lines = text().splitlines()
    assert "the local stack" in lines
    assert any(line.startswith("  TALKLOG_EPOCH ") and "(required)" in line for line in lines)
