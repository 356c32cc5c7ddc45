"""Whether the stack can prove itself: its own message must be let in."""

import pytest

from deploy.local.run import _lets_us_in, _token
from deploy.operators.tooling.minting import CantMint
from gateway.identity.signature import claims_of, secret_key
from tests.unit.gateway.identity.minted import SECRET


@pytest.mark.parametrize(
    ("environment", "may"),
    [
        ({}, True),
        ({"TALKLOG_AUTH": "none"}, True),
        ({"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_SECRET": SECRET}, True),
        ({"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_SECRET_FILE": "/secret"}, True),
        ({"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_JWKS": "https://id.example/keys"}, False),
        ({"TALKLOG_AUTH": "hook", "TALKLOG_HOOK_URL": "http://backend/who"}, False),
    ],
)
def test_only_where_it_can_be_let_in_it_is_tried(environment: dict[str, str], may: bool) -> None:
    assert _lets_us_in(environment) is may


def test_its_token_is_for_its_own_session() -> None:
    token = _token({"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_SECRET": SECRET})
    assert token is not None
    claims = claims_of(token, secret_key(SECRET, "HS256"))
    assert (claims["sub"], claims["sessions"]) == ("talklog-ready", ["talklog-ready"])
    assert _token({}) is None


def test_a_secret_that_can_not_sign_is_said_before_anything_starts() -> None:
    with pytest.raises(CantMint, match="TALKLOG_JWT_SECRET"):
        _token({"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_SECRET": "short"})
