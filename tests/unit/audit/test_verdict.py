"""A list is clean only if the service knew all of it."""

import json

import pytest

from tests.audit.verdict import Verdict, verdict_of

CLEAN = {"name": "a", "version": "1.0", "vulns": []}
BAD = {
    "name": "b",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["2.1"]}],
}
UNMENDED = {
    "name": "c",
    "version": "3",
    "vulns": [{"id": "X-1", "aliases": [], "fix_versions": []}],
}
UNTOLD = {"name": "d", "skip_reason": "Dependency not found and could not be audited: d (1)"}


def verdict(*packages: object) -> Verdict:
    return verdict_of(json.dumps({"dependencies": packages, "fixes": []}), "")


def test_nothing_is_known() -> None:
    found = verdict(CLEAN)
    assert (found.known, found.open) == ((), False)
    assert str(found) == "0 known vulnerabilities in 1 packages"


def test_what_is_known_is_named_with_what_mends_it() -> None:
    found = verdict(CLEAN, BAD, UNMENDED)
    assert found.known == (
        "b 2.0: PYSEC-1 CVE-2026-1, mended in 2.1",
        "c 3: X-1, mended in no version",
    )
    assert not found.open


def test_a_list_of_which_one_is_not_known_is_open() -> None:
    found = verdict(CLEAN, BAD, UNTOLD)
    assert found.open
    assert len(found.known) == 1
    assert "not found out of 1, such as d" in str(found)


def test_a_service_that_knows_nothing_has_told_nothing() -> None:
    """What pip-audit makes of an index that has files only: no vulnerability, exit code 0."""
    found = verdict(UNTOLD, UNTOLD)
    assert found.open
    assert "knows none of the 2 packages" in str(found)


@pytest.mark.parametrize("told", ["", "{", "[]", "null", "{}"])
def test_no_answer_is_no_good_news(told: str) -> None:
    found = verdict_of(told, "Traceback (most recent call last):\nConnectionError: refused\n")
    assert found.open
    assert str(found).endswith("can't be asked: ConnectionError: refused")


def test_an_empty_list_is_no_good_news_either() -> None:
    assert verdict().open
