"""The gateway refuses settings that would serve strangers."""

import pytest

from gateway.settings import GatewaySettings
from schemas.process.settings import NAMES, SettingsError, load, variable


def problems(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    try:
        load(GatewaySettings, environ)
    except SettingsError as error:
        return error.problems
    return []


def test_defaults_are_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, TALKLOG_EPOCH="1") == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_loopback_needs_no_authentication(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert problems(monkeypatch, TALKLOG_EPOCH="1", TALKLOG_HOST=host) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_addresses_are_refused_without(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    (problem,) = problems(monkeypatch, TALKLOG_EPOCH="1", TALKLOG_HOST=host)
    assert "TALKLOG_AUTH" in problem
    assert "loopback" in problem


def test_jwt_is_refused_with_a_clear_word(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(monkeypatch, TALKLOG_EPOCH="1", TALKLOG_AUTH="jwt")
    assert "TALKLOG_AUTH='jwt'" in problem
    assert "not built yet" in problem


def test_every_mistake_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, TALKLOG_PORT="x", TALKLOG_GRACE_S="-1", TALKLOG_PROT="1")
    assert len(found) == 4
    assert {"TALKLOG_PROT", "TALKLOG_PORT", "TALKLOG_GRACE_S", "TALKLOG_EPOCH"} == {
        problem.split("=")[0].split(":")[0] for problem in found
    }


def test_all_names_are_known() -> None:
    names = {variable(name, field) for name, field in GatewaySettings.model_fields.items()}
    assert names <= NAMES
