"""What is minted for development is what the gateways of the same environment take."""

from pathlib import Path

import pytest

from deploy.operators import token as command
from deploy.operators.tooling.minting import CantMint, minted
from gateway.identity.claims import Expected, rights_of
from gateway.identity.signature import claims_of, secret_key
from tests.unit.gateway.identity.minted import SECRET

ENVIRON = {
    "TALKLOG_JWT_SECRET": SECRET,
    "TALKLOG_JWT_ISSUER": "https://a.example, https://b.example",
    "TALKLOG_JWT_AUDIENCE": "chat",
}
NOW_S = 1_700_000_000.0


def made(environ: dict[str, str], verbs: tuple[str, ...] = (), subject: str = "alice") -> str:
    return minted(
        environ, subject=subject, sessions=["{sub}-*"], verbs=verbs, now_s=NOW_S, lasts_s=60.0
    )


def test_it_says_what_the_gateways_ask_for() -> None:
    claims = claims_of(made(ENVIRON, ("read",)), secret_key(SECRET, "HS256"))
    expected = Expected(frozenset({"https://a.example"}), frozenset({"chat"}))
    rights = rights_of(claims, expected, NOW_S)
    assert rights.may("read", "alice-1")
    assert not rights.may("say", "alice-1")
    assert rights.until_s == NOW_S + 60


def test_the_secret_may_lie_in_a_file_and_have_another_algorithm(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    environ = {
        "TALKLOG_JWT_SECRET_FILE": str(tmp_path / "secret"),
        "TALKLOG_JWT_SECRET_ALGORITHM": "HS512",
    }
    assert claims_of(made(environ), secret_key(SECRET, "HS512"))["sub"] == "alice"


@pytest.mark.parametrize(
    ("environ", "verbs", "subject", "why"),
    [
        ({}, (), "alice", "TALKLOG_JWT_SECRET is not set"),
        ({"TALKLOG_JWT_SECRET": "tiny"}, (), "alice", "too short"),
        ({"TALKLOG_JWT_SECRET_FILE": "/nowhere"}, (), "alice", "No such file"),
        (ENVIRON, ("admin",), "alice", "admin is none of"),
        (ENVIRON, (), "a\nb", "sub is not"),
    ],
)
def test_what_would_be_refused_is_not_made(
    environ: dict[str, str], verbs: tuple[str, ...], subject: str, why: str
) -> None:
    with pytest.raises(CantMint, match=why) as told:
        made(environ, verbs, subject)
    assert "tiny" not in str(told.value)


@pytest.mark.parametrize(("text", "lasts_s"), [("90s", 90), ("15m", 900), ("2h", 7200)])
def test_how_long_is_said_as_everywhere(text: str, lasts_s: int) -> None:
    assert command._seconds(text) == lasts_s


@pytest.mark.parametrize("text", ["", "0s", "-5s", "2026-01-31", "ever"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(CantMint, match="--for"):
        command._seconds(text)
