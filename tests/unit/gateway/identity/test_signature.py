"""A token is held to one key and its one algorithm, whatever it says of itself."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claims import BadToken
from gateway.identity.keys import keys_of
from gateway.identity.signature import (
    ALGORITHMS,
    TOKEN_MAX_CHARS,
    BadKey,
    claims_of,
    head_of,
    key_of,
    secret_key,
    signed,
)
from tests.unit.gateway.identity.minted import (
    SECRET,
    Owner,
    of_alice,
    owner,
    part,
    published,
    with_secret,
)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_signs_and_verifies(algorithm: str) -> None:
    alice = owner(algorithm)
    token = alice.sign(of_alice())
    assert head_of(token).algorithm == algorithm
    assert claims_of(token, key_of(alice.jwk()))["sub"] == "alice"


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_token_of_another_key_is_refused(algorithm: str) -> None:
    stolen = owner(algorithm, "thief").sign(of_alice(), kid="k1")
    with pytest.raises(BadToken, match="signature"):
        claims_of(stolen, key_of(owner(algorithm).jwk()))


@pytest.mark.parametrize("changed", ["header", "claims", "signature"])
def test_a_token_that_was_changed_is_refused(changed: str) -> None:
    alice = owner("ES256")
    header, claims, signature = alice.sign(of_alice()).split(".")
    if changed == "header":
        header = part({"alg": "ES256", "kid": "k1", "x": 1})
    elif changed == "claims":
        claims = part(of_alice(sessions=["*"]))
    else:
        signature = part(bytes(64))
    with pytest.raises(BadToken):
        claims_of(f"{header}.{claims}.{signature}", key_of(alice.jwk()))


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "", "HS1", "ES256K", "RSA1_5", None, 7])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_no_algorithm_is_none(name: object, signature: str) -> None:
    token = f"{part({'alg': name, 'kid': 'k1'})}.{part(of_alice())}.{signature}"
    with pytest.raises(BadToken):
        head_of(token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("of", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(of: str, algorithm: str) -> None:
    # The classic: what everybody can download, used as the secret of an HMAC.
    alice = owner(of)
    key = key_of(alice.jwk())
    for secret in (alice.pem(), json.dumps(alice.jwk()).encode(), published(alice)):
        forged = with_secret(secret, algorithm, of_alice(), kid="k1")
        assert keys_of(published(alice)).find(head_of(forged)) is None
        with pytest.raises(BadToken):
            claims_of(forged, key)


def test_a_key_is_used_for_its_own_algorithm_alone() -> None:
    # The same RSA key can sign by three ways and two paddings: one was said.
    alice = owner("RS256")
    key = key_of(alice.jwk())
    for other in ("RS384", "RS512", "PS256"):
        token = Owner(other, alice.private, "k1").sign(of_alice())
        assert keys_of(published(alice)).find(head_of(token)) is None
        with pytest.raises(BadToken):
            claims_of(token, key)


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"kid": 7},
        {"kid": "k" * 257},
    ],
)
def test_what_is_critical_or_odd_in_the_header_is_refused(header: dict[str, object]) -> None:
    token = f"{part({'alg': 'ES256', **header})}.{part(of_alice())}.AAAA"
    with pytest.raises(BadToken):
        head_of(token)


def test_keys_that_the_header_brings_along_are_not_looked_at() -> None:
    thief = owner("ES256", "thief")
    token = thief.sign(of_alice(), kid="k1", jwk=thief.jwk(), jku="https://thief.example/keys")
    with pytest.raises(BadToken, match="signature"):
        claims_of(token, key_of(owner("ES256").jwk()))


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": part(bytes(64))},
        {"kty": "oct", "k": part(b"short"), "alg": "HS256"},
        {"kty": "oct", "k": part(bytes(47)), "alg": "HS384"},
        {"kty": "RSA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "new"},
        {"kty": ["EC"]},
        {},
        owner("ES256").jwk(alg="none"),
        owner("ES256").jwk(alg="RS256"),
        owner("ES256").jwk(alg="HS256"),
        owner("ES256").jwk(d="AA"),
        owner("ES256").jwk(kid=7),
    ],
)
def test_a_key_that_can_not_hold_a_token_is_none(jwk: dict[str, object]) -> None:
    with pytest.raises(BadKey) as bad:
        key_of(jwk)
    assert str(jwk.get("k", "?")) not in str(bad.value)


def test_a_short_rsa_key_is_none() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = Owner("RS256", rsa.generate_private_key(65537, 1024), "k1")
    with pytest.raises(BadKey, match="too short"):
        key_of(weak.jwk())


@pytest.mark.parametrize("secret", ["", "short", owner("ES256").pem().decode()])
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    with pytest.raises(BadKey):
        secret_key(secret, "HS256")


def test_what_is_minted_with_the_secret_is_held_to_it() -> None:
    key = secret_key(SECRET, "HS512")
    token = signed(of_alice(), key)
    assert head_of(token).kid is None
    assert claims_of(token, key) == of_alice()
    with pytest.raises(BadToken):
        claims_of(token, secret_key(SECRET, "HS256"))
    with pytest.raises(BadToken):
        claims_of(token, secret_key(SECRET + "!", "HS512"))


def test_a_key_does_not_show_itself() -> None:
    assert SECRET not in repr(secret_key(SECRET, "HS256"))


deep = part(b"[" * 4_000)


@given(
    st.one_of(
        st.text(max_size=200),
        st.text("abAB01-_.=", max_size=200),
        st.tuples(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60)).map(
            lambda parts: ".".join(part(each) for each in parts)
        ),
        st.just(f"{deep}.{deep}.AAAA"),
        st.just("a" * (TOKEN_MAX_CHARS + 1)),
    )
)
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    key = secret_key(SECRET, "HS256")
    with contextlib.suppress(BadToken):
        head_of(text)
    with pytest.raises(BadToken):
        claims_of(text, key)
