"""What a token says, rule by rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claims import BadToken, Expected, rights_of
from gateway.identity.rights import VERBS, Rights
from tests.unit.gateway.identity.minted import NOW_S, of_alice

EXPECTED = Expected(frozenset({"https://id.example"}), frozenset({"chat"}), leeway_s=10.0)
GOOD = of_alice(iss="https://id.example", aud="chat")


def rights(**other: Any) -> Rights:
    claims = {name: value for name, value in (GOOD | other).items() if value != "absent"}
    return rights_of(claims, EXPECTED, NOW_S)


def test_a_good_token_says_who_where_what_and_until_when() -> None:
    assert rights() == Rights("alice", ("alice-*",), VERBS, NOW_S + 70)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": "absent"}, "exp is missing"),
        ({"exp": None}, "exp is missing"),
        ({"exp": NOW_S - 10}, "expired"),
        ({"exp": str(NOW_S + 60)}, "exp is no number"),
        ({"exp": True}, "exp is no number"),
        ({"exp": (NOW_S + 60) * 1000}, "exp is no time in seconds"),
        ({"exp": 10**400}, "exp is no time in seconds"),
        ({"exp": float("nan")}, "exp is no time in seconds"),
        ({"nbf": NOW_S + 11}, "nbf is to come"),
        ({"iat": NOW_S + 11}, "iat is to come"),
        ({"iat": "now"}, "iat is no number"),
        ({"iss": "absent"}, "iss is no issuer"),
        ({"iss": "https://id.example/"}, "iss is no issuer"),
        ({"iss": ["https://id.example"]}, "iss is no text"),
        ({"aud": "absent"}, "aud names no audience"),
        ({"aud": "shop"}, "aud names no audience"),
        ({"aud": ["shop"]}, "aud names no audience"),
        ({"aud": {"chat": 1}}, "aud is no list"),
        ({"sub": ""}, "sub is not"),
        ({"sub": 7}, "sub is no text"),
        ({"sub": "a" * 256}, "sub is not"),
        ({"sub": "a\0"}, "sub is not"),
        ({"sub": "a\u202eb"}, "sub is not"),
        ({"sub": "\ud800"}, "sub is not"),
        ({"sessions": "*"}, "sessions is no list"),
        ({"sessions": [1]}, "sessions is no list"),
        ({"sessions": ["*"] * 101}, "sessions has more than"),
        ({"verbs": "read"}, "verbs is no list"),
    ],
)
def test_a_bad_token_says_by_which_rule(claims: dict[str, Any], why: str) -> None:
    with pytest.raises(BadToken, match=why):
        rights(**claims)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW_S - 9},
        {"nbf": NOW_S + 10},
        {"iat": NOW_S + 10},
        {"aud": ["shop", "chat"]},
        {"sub": "absent"},
        {"jti": "whatever", "scope": 7},
    ],
)
def test_the_leeway_and_what_is_not_asked_for_are_good(claims: dict[str, Any]) -> None:
    assert rights(**claims).sessions == ("alice-*",)


def test_without_sessions_nothing_may_be_done() -> None:
    assert not rights(sessions="absent").may("read", "alice-1")
    assert not rights(sessions=[]).may("read", "alice-1")


def test_verbs_are_all_if_they_are_not_named_and_one_of_a_later_version_is_none() -> None:
    assert rights(verbs="absent").verbs == VERBS
    assert rights(verbs=["read", "admin"]).verbs == {"read"}
    assert rights(verbs=[]).verbs == frozenset()


def test_what_is_not_set_is_not_asked_for() -> None:
    assert rights_of({"exp": NOW_S + 1, "iss": "x", "aud": "y"}, Expected(), NOW_S).subject is None


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)
NAMES = st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "sessions", "verbs"])


@given(st.dictionaries(NAMES, json_values))
def test_any_claims_give_rights_or_a_rule(other: dict[str, Any]) -> None:
    try:
        found = rights_of(GOOD | other, EXPECTED, NOW_S)
    except BadToken:
        return
    assert not found.over(NOW_S)
