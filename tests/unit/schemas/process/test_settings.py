"""Settings: every mistake is told at once, each by the variable that people set."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field

from schemas.process import settings
from schemas.process.connections import Connections
from schemas.process.settings import (
    FILE,
    FILE_MAX_BYTES,
    NAMES,
    PREFIX,
    Settings,
    SettingsError,
    load,
    misspelt,
    refused_names,
    variable,
)

TIERS = ("gateway.settings", "workers.settings", "persister.settings")


class Some(Settings):
    epoch: int = Field(ge=1)
    shards: int = Field(8, ge=1)
    api_key: str = Field("none", validation_alias="OPENAI_API_KEY", repr=False)
    fallback_api_key: str = Field("", repr=False)
    retries: int = Field(2, ge=0, validation_alias="OPENAI_RETRIES")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith((PREFIX, "OPENAI_")):
            monkeypatch.delenv(name)


def problems(cls: type[Settings], monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(cls, environ)
    assert str(caught.value).splitlines() == caught.value.problems
    return caught.value.problems


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKLOG_EPOCH", "1700000000")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    loaded = load(Some, {"TALKLOG_EPOCH": "1700000000", "OPENAI_API_KEY": "k", "HOME": "/"})
    assert (loaded.epoch, loaded.shards, loaded.api_key) == (1700000000, 8, "k")


def test_every_mistake_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(
        Some,
        monkeypatch,
        TALKLOG_SHARDS="0",
        OPENAI_RETRIES="many",
        TALKLOG_SHARD="8",
        TALKLOG_NONSENSE_OF_MINE="1",
    )
    assert len(told) == 5
    assert told[0] == "TALKLOG_NONSENSE_OF_MINE: no such setting"
    assert told[1] == "TALKLOG_SHARD: no such setting; meant TALKLOG_SHARDS?"
    by_name = {line.split(":")[0].split("=")[0]: line for line in told[2:]}
    assert by_name["TALKLOG_EPOCH"] == "TALKLOG_EPOCH: required, but not set"
    assert by_name["TALKLOG_SHARDS"].startswith("TALKLOG_SHARDS='0': ")
    assert by_name["OPENAI_RETRIES"].startswith("OPENAI_RETRIES='many': ")


def test_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("k1\n")
    (tmp_path / "two").write_text("k2")
    environ = {
        "TALKLOG_EPOCH": "5",
        "OPENAI_API_KEY_FILE": str(tmp_path / "one"),
        "TALKLOG_FALLBACK_API_KEY_FILE": str(tmp_path / "two"),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    loaded = load(Some, environ)
    assert (loaded.api_key, loaded.fallback_api_key) == ("k1", "k2")


def test_a_secret_that_can_not_be_read_is_told_and_none_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "large").write_text("x" * (FILE_MAX_BYTES + 1))
    (tmp_path / "blank").write_text("a secret of two lines\nand a half")
    monkeypatch.setenv("TALKLOG_EPOCH", "5")
    key = "OPENAI_API_KEY_FILE"
    (told,) = problems(Some, monkeypatch, **{key: "/nowhere"})
    assert told == f"{key}='/nowhere': No such file or directory"
    (told,) = problems(Some, monkeypatch, **{key: str(tmp_path)})
    assert "directory" in told
    (told,) = problems(Some, monkeypatch, **{key: str(tmp_path / "large")})
    assert "more than" in told
    (told,) = problems(Some, monkeypatch, **{key: str(tmp_path / "blank")})
    assert told.startswith("OPENAI_API_KEY: ")
    assert "two lines" not in told
    (told,) = problems(Some, monkeypatch, OPENAI_API_KEY="k", **{key: str(tmp_path / "blank")})
    assert told == f"{key}: OPENAI_API_KEY is set too; which one counts?"


def test_a_name_of_another_tier_is_no_mistake() -> None:
    assert misspelt({name: "x" for name in NAMES}) == []
    assert misspelt({"PATH": "/bin", "TALK": "1"}) == []


def test_where_others_write_into_the_environment_unknown_names_are_told_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"TALKLOG_EPOCH": "5", "TALKLOG_SHARD": "9", "TALKLOG_UNKNOWN_NAMES": "warn"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert load(Connections, environ).shards == 8
    told = "settings: passed over: TALKLOG_SHARD: no such setting; meant TALKLOG_SHARDS?\n"
    assert capsys.readouterr().err == told
    assert refused_names(environ | {"TALKLOG_UNKNOWN_NAMES": "refuse"}) != []


def test_the_admin_port_listens_on_an_address_and_not_on_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (told,) = problems(Connections, monkeypatch, TALKLOG_EPOCH="5", TALKLOG_ADMIN_HOST="metrics")
    assert told.startswith("TALKLOG_ADMIN_HOST='metrics': ")
    for address in ("0.0.0.0", "::", "127.0.0.1"):
        monkeypatch.setenv("TALKLOG_ADMIN_HOST", address)
        assert load(Connections, {"TALKLOG_EPOCH": "5"}).admin_host == address


def test_the_process_leaves_with_2_and_names_each_problem(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        settings.exit_with(SettingsError(["A: wrong", "B: wrong too"]))
    assert left.value.code == 2
    assert capsys.readouterr().err == "settings: A: wrong\nsettings: B: wrong too\n"


def test_the_connections_have_defaults_for_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKLOG_EPOCH", "5")
    loaded = load(Connections, {"TALKLOG_EPOCH": "5"})
    assert (loaded.kafka, loaded.shards, loaded.epoch) == ("127.0.0.1:9092", 8, 5)
    with pytest.raises(ValueError, match="frozen"):
        loaded.shards = 9  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    for cls in known_classes():
        for name, field in cls.model_fields.items():
            assert field.description, f"{cls.__module__}.{cls.__name__}.{name}"


def test_names_are_the_names_of_every_tier() -> None:
    found = {
        name
        for cls in known_classes()
        for key, field in cls.model_fields.items()
        for name in [variable(key, field), *([] if field.repr else [variable(key, field) + FILE])]
        if name.startswith(PREFIX)
    }
    assert found <= NAMES, f"add to schemas.settings.NAMES: {sorted(found - NAMES)}"
    if all(importlib.util.find_spec(tier) for tier in TIERS):
        assert found >= NAMES, f"no tier knows these: {sorted(NAMES - found)}"


def known_classes() -> Iterator[type[Settings]]:
    """Every settings class of every tier that is there."""
    for tier in ("schemas.process.connections", *TIERS):
        if importlib.util.find_spec(tier) is None:
            continue
        module = importlib.import_module(tier)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, Settings) and cls is not Settings:
                yield cls
