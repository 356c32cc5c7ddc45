"""From a token to rights: whose key it is held to, and what is said while keys can't be read."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.identity import key_source
from gateway.identity.claims import BadToken, CantTell, Expected
from gateway.identity.key_source import KeySource
from gateway.identity.keyring import Keyring
from gateway.identity.signature import secret_key
from gateway.identity.tokens import Tokens
from tests.unit.gateway.identity.minted import SECRET, Owner, owner, published

A, B = "https://a.example", "https://b.example"


def of_alice(**other: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": time.time() + 600, "sessions": ["alice-*"], **other}


def source(folder: Path, name: str, *owners: Owner) -> KeySource:
    place = folder / name
    if owners:
        place.write_bytes(published(*owners))
    return KeySource(str(place), Keyring(300.0))


def tokens(
    sources: Mapping[str | None, KeySource], secret: str | None = None, *issuers: str
) -> Tokens:
    key = secret_key(secret, "HS256") if secret else None
    return Tokens(Expected(frozenset(issuers)), key, sources)


async def test_one_set_of_keys_serves_every_issuer(tmp_path: Path) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "a"), owner("RS256", "b"))
    await keys.read()
    gate = tokens({None: keys}, None, A, B)
    for signer, issuer in ((owner("ES256", "a"), A), (owner("RS256", "b"), B)):
        assert (await gate.rights(signer.sign(of_alice(iss=issuer)))).subject == "alice"
    with pytest.raises(BadToken, match="iss"):
        await gate.rights(owner("ES256", "a").sign(of_alice(iss="https://c.example")))


async def test_no_issuer_signs_for_another(tmp_path: Path) -> None:
    of_a = source(tmp_path, "a", owner("ES256", "k1"))
    of_b = source(tmp_path, "b", owner("ES256", "k2"))
    await of_a.read()
    await of_b.read()
    gate = tokens({A: of_a, B: of_b}, None, A, B)
    assert (await gate.rights(owner("ES256", "k1").sign(of_alice(iss=A)))).subject == "alice"
    for kid in ("k1", "k2"):
        with pytest.raises(BadToken):
            await gate.rights(owner("ES256", "k1").sign(of_alice(iss=B), kid=kid))
    with pytest.raises(BadToken, match="iss"):
        await gate.rights(owner("ES256", "k1").sign(of_alice()))


async def test_a_secret_serves_tokens_that_name_no_key(tmp_path: Path) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "a"))
    await keys.read()
    gate = tokens({None: keys}, SECRET)
    by_secret = Owner("HS256", SECRET.encode(), None)
    assert (await gate.rights(by_secret.sign(of_alice()))).subject == "alice"
    with pytest.raises(BadToken):
        await gate.rights(by_secret.sign(of_alice(), kid="a"))
    alone = tokens({}, SECRET)
    assert (await alone.rights(by_secret.sign(of_alice(), kid="whatever"))).subject == "alice"
    with pytest.raises(BadToken, match="alg"):
        await alone.rights(owner("ES256", "a").sign(of_alice()))


async def test_keys_that_rotate_are_found_by_the_first_token_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "old"))
    gate = tokens({None: keys})
    await keys.read()
    (tmp_path / "keys").write_bytes(published(owner("ES256", "new")))
    monkeypatch.setattr(keys._keyring, "_asked_at_s", time.monotonic() - 61)
    reading = asyncio.create_task(gate.run())
    try:
        found = await asyncio.gather(
            *(gate.rights(owner("ES256", "new").sign(of_alice())) for _ in range(50))
        )
        assert {each.subject for each in found} == {"alice"}
        assert gate.calls() == 2
        with pytest.raises(BadToken):
            await gate.rights(owner("ES256", "old").sign(of_alice()))
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_flood_of_names_that_nobody_has_is_one_read(tmp_path: Path) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "a"))
    gate = tokens({None: keys})
    reading = asyncio.create_task(gate.run())
    thief = owner("ES256", "thief")
    floods = [thief.sign(of_alice(), kid=f"no{number}") for number in range(200)]
    try:
        refused = await asyncio.gather(
            *(gate.rights(token) for token in floods), return_exceptions=True
        )
        assert {type(each) for each in refused} == {BadToken}
        assert gate.calls() == 1
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_while_keys_can_not_be_read_nobody_is_called_a_liar(tmp_path: Path) -> None:
    keys = source(tmp_path, "missing")
    gate = tokens({None: keys})
    await keys.read()
    with pytest.raises(CantTell, match="FileNotFoundError"):
        await gate.rights(owner("ES256", "a").sign(of_alice()))
    assert "FileNotFoundError" in (gate.not_ready() or "")
    (tmp_path / "missing").write_bytes(published(owner("ES256", "a")))
    await keys.read()
    assert gate.not_ready() is None
    assert gate.failing() == []


async def test_keys_of_before_count_and_that_is_told(tmp_path: Path) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "a"))
    gate = tokens({None: keys})
    await keys.read()
    (tmp_path / "keys").write_text("{")
    await keys.read()
    assert (await gate.rights(owner("ES256", "a").sign(of_alice()))).subject == "alice"
    assert gate.not_ready() is None
    (told,) = gate.failing()
    assert "no JSON" in told


async def test_of_two_issuers_one_without_keys_is_told_and_the_other_served(
    tmp_path: Path,
) -> None:
    of_a, of_b = source(tmp_path, "a", owner("ES256", "a")), source(tmp_path, "b")
    await of_a.read()
    await of_b.read()
    gate = tokens({A: of_a, B: of_b}, None, A, B)
    assert gate.not_ready() is None
    assert len(gate.failing()) == 1


async def test_who_leaves_while_the_keys_are_read_takes_nobody_along(tmp_path: Path) -> None:
    keys = source(tmp_path, "keys", owner("ES256", "a"))
    gate = tokens({None: keys})
    token = owner("ES256", "a").sign(of_alice())
    leaving, staying = (asyncio.create_task(gate.rights(token)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await keys.read()
    assert (await staying).subject == "alice"


async def test_who_comes_while_the_keys_are_read_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first token of a new key had them read; those behind it were refused meanwhile.
    keys = source(tmp_path, "keys", owner("ES256", "old"))
    gate = tokens({None: keys})
    await keys.read()
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(_: str) -> bytes:
        asked.set()
        await answered.wait()
        return published(owner("ES256", "new"))

    monkeypatch.setattr(key_source, "_read", slow)
    reading = asyncio.create_task(keys.read())
    await asked.wait()
    waiting = asyncio.create_task(gate.rights(owner("ES256", "new").sign(of_alice())))
    old = await gate.rights(owner("ES256", "old").sign(of_alice()))
    assert old.subject == "alice"
    answered.set()
    await reading
    assert (await waiting).subject == "alice"
