"""Which key of a set a token is held to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.keys import KEYS_MAX, KEYS_MAX_BYTES, BadKeys, Keys, keys_of
from gateway.identity.signature import Head
from tests.unit.gateway.identity.minted import owner, published


def head(algorithm: str, kid: str | None) -> Head:
    return Head(algorithm, kid, None)


def test_a_name_and_its_algorithm_find_the_key() -> None:
    keys = keys_of(published(owner("ES256", "a"), owner("ES256", "b"), owner("EdDSA", "a")))
    assert len(keys) == 3
    found = keys.find(head("ES256", "b"))
    assert found is not None
    assert (found.kid, found.algorithm) == ("b", "ES256")
    assert keys.find(head("EdDSA", "b")) is None
    assert keys.find(head("HS256", "a")) is None
    assert keys.find(head("ES256", "c")) is None


def test_without_a_name_only_an_only_key_is_found() -> None:
    two = keys_of(published(owner("ES256", "a"), owner("ES256", "b"), owner("EdDSA", None)))
    assert two.find(head("ES256", None)) is None
    assert two.find(head("EdDSA", None)) is not None


def test_of_two_with_one_name_the_first_counts() -> None:
    first, second = owner("ES256", "a"), owner("ES384", "x")
    twice = {"keys": [first.jwk(), {**second.jwk(), "kid": "a"}, {**first.jwk(), "x5t": "!"}]}
    keys = keys_of(json.dumps(twice).encode())
    assert len(keys) == 2


def test_keys_for_other_things_are_left_out_and_bad_ones_told() -> None:
    good = owner("ES256", "a").jwk()
    others = [
        owner("ES384", "b").jwk(use="enc"),
        owner("ES512", "c").jwk(key_ops=["sign"]),
        {"kty": "future", "kid": "d"},
    ]
    keys = keys_of(json.dumps({"keys": [*others, good]}).encode())
    assert len(keys) == 1
    (told,) = keys.unusable
    assert "'d'" in told


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [1]}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "future"}]}',
        b"[" * 100_000,
        b" " * (KEYS_MAX_BYTES + 1),
        json.dumps({"keys": [{}] * (KEYS_MAX + 1)}).encode(),
        b"\xff",
    ],
)
def test_what_is_no_set_is_said(text: bytes) -> None:
    with pytest.raises(BadKeys):
        keys_of(text)


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_are_keys_or_refused(text: bytes) -> None:
    with pytest.raises(BadKeys):
        keys_of(text)


def test_no_keys_are_keys() -> None:
    assert len(Keys(())) == 0
