"""A set of keys as its owner publishes it (RFC 7517) -> the key that a token is held to. Pure.

1. A token that names a `kid` is held to the key of that name and its algorithm, to no other.
2. One that names none is held to the only key of its algorithm; if there are several, to none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.identity.signature import BadKey, Head, Key, key_of

KEYS_MAX_BYTES = 256 * 1024
KEYS_MAX = 100
_json = msgspec.json.Decoder()


class BadKeys(Exception):
    """It is no set of keys that can be used; the text says why."""


class Keys:
    """Keys by name and algorithm; `unusable` says of the others why they are none."""

    def __init__(self, keys: Iterable[Key], unusable: Iterable[str] = ()) -> None:
        self._by_name: dict[tuple[str | None, str], Key] = {}
        self._by_algorithm: dict[str, list[Key]] = {}
        for key in keys:
            # Of two with the same name and algorithm the first counts, whatever comes behind it.
            if key.kid is None or (key.kid, key.algorithm) not in self._by_name:
                self._by_name[key.kid, key.algorithm] = key
                self._by_algorithm.setdefault(key.algorithm, []).append(key)
        self.unusable = tuple(unusable)

    def __len__(self) -> int:
        return sum(map(len, self._by_algorithm.values()))

    def find(self, head: Head) -> Key | None:
        """Give the key for a token, or None if there is none."""
        if head.kid is not None:
            return self._by_name.get((head.kid, head.algorithm))
        of_algorithm = self._by_algorithm.get(head.algorithm, [])
        return of_algorithm[0] if len(of_algorithm) == 1 else None


def keys_of(text: bytes) -> Keys:
    """Read a JWK set. Keys for something else, or of a kind that is not taken, are left out.

    Raises:
        BadKeys: it is no set, or none of its keys can be used.
    """
    if len(text) > KEYS_MAX_BYTES:
        raise BadKeys(f"it has more than {KEYS_MAX_BYTES} bytes")
    try:
        found = _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadKeys("it is no JSON") from error
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(isinstance(jwk, dict) for jwk in listed):
        raise BadKeys('it is no JWK set: {"keys": [{…}, …]}')
    if len(listed) > KEYS_MAX:
        raise BadKeys(f"it has more than {KEYS_MAX} keys")
    usable: list[Key] = []
    unusable: list[str] = []
    for jwk in listed:
        if not _is_for_signatures(jwk):
            continue
        try:
            usable.append(key_of(jwk))
        except BadKey as error:
            unusable.append(f"{str(jwk.get('kid'))[:80]!r}: {error}")
    if not usable:
        raise BadKeys("; ".join(["none of its keys can be used", *unusable[:3]]))
    return Keys(usable, unusable)


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return False
    return bool(jwk.get("use", "sig") == "sig")
