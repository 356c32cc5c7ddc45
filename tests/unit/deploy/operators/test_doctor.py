"""The doctor reads versions and addresses, and sees every mistake in the settings."""

import pytest

from deploy.operators.doctor import addresses, java, java_version, settings


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("sh: java: not found", 0),
    ],
)
def test_the_major_version_of_java(text: str, version: int) -> None:
    assert java_version(text) == version


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", []),
        ("b1:9092,b2:9094", [("b1", 9092), ("b2", 9094)]),
        ("redis://cache/0", [("cache", 6379)]),
        ("postgresql://u:p@db:5433/talklog", [("db", 5433)]),
        ("https://models.example/v1", [("models.example", 443)]),
    ],
)
def test_addresses_of_servers(given: str, found: list[tuple[str, int]]) -> None:
    assert addresses(given) == found


def test_java_is_not_needed_with_a_given_kafka() -> None:
    assert not java({"TALKLOG_KAFKA": "b:1", "PATH": ""})[0].wrong


def test_misspelt_and_wrong_settings_are_all_found() -> None:
    found = settings({"TALKLOG_KAFKAA": "x", "PORT": "nine"})
    assert [finding.wrong for finding in found] == [True, True]
    assert "TALKLOG_KAFKAA" in found[0].text
    assert "PORT" in found[1].text
