"""The gateway refuses settings that would serve strangers."""

from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from schemas.process.settings import NAMES, SettingsError, load, variable
from tests.unit.gateway.identity.minted import owner, published


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


SECRET = "s" * 32


def jwt(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    named = {f"TALKLOG_JWT_{name}": value for name, value in environ.items()}
    return problems(monkeypatch, TALKLOG_EPOCH="1", TALKLOG_AUTH="jwt", **named)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "192.168.1.5"])
def test_with_tokens_any_address_is_served(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert (
        problems(
            monkeypatch,
            TALKLOG_EPOCH="1",
            TALKLOG_AUTH="jwt",
            TALKLOG_HOST=host,
            TALKLOG_JWT_SECRET=SECRET,
        )
        == []
    )


def test_tokens_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = jwt(monkeypatch)
    assert "TALKLOG_JWT_JWKS" in problem
    assert "TALKLOG_JWT_SECRET" in problem


def test_a_secret_in_a_file_is_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert jwt(monkeypatch, SECRET_FILE=str(tmp_path / "secret")) == []


@pytest.mark.parametrize("secret", ["tiny!", "-----BEGIN PUBLIC KEY-----"])
def test_a_weak_secret_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    (problem,) = jwt(monkeypatch, SECRET=secret)
    assert problem.startswith("TALKLOG_JWT_SECRET: ")
    assert secret not in problem


def test_a_secret_is_as_long_as_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jwt(monkeypatch, SECRET=SECRET) == []
    (problem,) = jwt(monkeypatch, SECRET=SECRET, SECRET_ALGORITHM="HS512")
    assert "too short" in problem


def test_a_file_of_keys_is_read_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys, other = tmp_path / "keys.json", tmp_path / "other.json"
    keys.write_bytes(published(owner("ES256")))
    other.write_text("{}")
    assert jwt(monkeypatch, JWKS=str(keys)) == []
    assert jwt(monkeypatch, JWKS="https://id.example/keys") == []
    for place, why in (
        (str(tmp_path / "none"), "No such file"),
        (str(other), "no JWK set"),
        ("ftp://id.example/keys", "http"),
    ):
        (problem,) = jwt(monkeypatch, JWKS=place)
        assert problem.startswith("TALKLOG_JWT_JWKS=")
        assert why in problem


def test_each_issuer_has_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    two = "https://a.example/keys,https://b.example/keys"
    assert jwt(monkeypatch, JWKS=two, ISSUER="https://a.example, https://b.example") == []
    assert jwt(monkeypatch, JWKS="https://a.example/keys", ISSUER="a,b,c") == []
    for issuers in ("", "https://a.example", "a,b,c"):
        (problem,) = jwt(monkeypatch, JWKS=two, ISSUER=issuers)
        assert problem.startswith("TALKLOG_JWT_ISSUER=")


def test_a_hook_needs_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = {"TALKLOG_EPOCH": "1", "TALKLOG_AUTH": "hook", "TALKLOG_HOST": "0.0.0.0"}
    (problem,) = problems(monkeypatch, **hook)
    assert problem.startswith("TALKLOG_HOOK_URL=")
    (problem,) = problems(monkeypatch, **hook, TALKLOG_HOOK_URL="backend:80/who")
    assert "http" in problem
    assert problems(monkeypatch, **hook, TALKLOG_HOOK_URL="http://backend/who") == []


def test_a_proxy_that_is_no_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems(
        monkeypatch, TALKLOG_EPOCH="1", TALKLOG_TRUSTED_PROXIES="10.0.0.0/8,lb.example"
    )
    assert problem.startswith("TALKLOG_TRUSTED_PROXIES=")
    assert "lb.example" in problem


def test_every_mistake_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, TALKLOG_PORT="x", TALKLOG_GRACE_S="-1", TALKLOG_PROT="1")
    assert len(found) == 4
    assert {"TALKLOG_PROT", "TALKLOG_PORT", "TALKLOG_GRACE_S", "TALKLOG_EPOCH"} == {
        problem.split("=")[0].split(":")[0] for problem in found
    }


def test_all_names_are_known() -> None:
    names = {variable(name, field) for name, field in GatewaySettings.model_fields.items()}
    assert names <= NAMES
