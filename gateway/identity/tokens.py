"""A token -> what its bearer may do, by the settings of the gateway.

Which key a token is held to: that of its issuer, if each issuer has keys of its own; so no issuer
can sign for another. A shared secret is for tokens that name no key (and for all, where there are
no other keys).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from gateway.identity.claims import BadToken, Expected, rights_of
from gateway.identity.key_source import KeySource
from gateway.identity.keyring import Keyring
from gateway.identity.rights import Rights
from gateway.identity.signature import Head, Key, claims_of, head_of, secret_key
from gateway.settings import GatewaySettings


class Tokens:
    """`sources`: keys by issuer; under None those of every issuer."""

    def __init__(
        self, expected: Expected, secret: Key | None, sources: Mapping[str | None, KeySource]
    ) -> None:
        self._expected = expected
        self._secret = secret
        self._sources = sources

    async def rights(self, token: str) -> Rights:
        """Give what the bearer may do now.

        Raises:
            BadToken: the token gives no rights.
            CantTell: whether it does can't be told now.
        """
        claims = claims_of(token, await self._key(head_of(token)))
        return rights_of(claims, self._expected, time.time())

    async def run(self) -> None:
        """Keep the keys fresh, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources.values():
                tasks.create_task(source.run())

    def not_ready(self) -> str | None:
        """Say why nobody could be let in, or None. One issuer's keys of several are `failing`."""
        reasons = [source.not_ready() for source in self._sources.values()]
        usable = self._secret is not None or None in reasons or not reasons
        return None if usable else "; ".join(filter(None, reasons))

    def failing(self) -> Sequence[str]:
        """Say what fails though others can be let in."""
        if self.not_ready():
            return []
        told = (source.not_ready() or source.failing() for source in self._sources.values())
        return [each for each in told if each]

    def calls(self) -> int:
        """How often keys were asked for."""
        return sum(source.reads for source in self._sources.values())

    async def _key(self, head: Head) -> Key:
        secret = self._secret
        if secret is not None and (head.kid is None or not self._sources):
            if head.algorithm == secret.algorithm:
                return secret
            if not self._sources:
                raise BadToken("alg is not that of the secret")
        source = self._sources.get(head.issuer) or self._sources.get(None)
        if source is None:
            raise BadToken("iss is no issuer of TALKLOG_JWT_ISSUER")
        return await source.key(head)


def tokens_of(settings: GatewaySettings) -> Tokens | None:
    """Give what checks tokens as the settings say; None: they are not asked for."""
    if settings.auth != "jwt":
        return None
    expected = Expected(
        frozenset(settings.issuers()), settings.audiences(), leeway_s=settings.jwt_leeway_s
    )
    secret = settings.jwt_secret
    key = secret_key(secret, settings.jwt_secret_algorithm) if secret else None
    places = settings.key_sets()
    issuers: list[str | None] = [None] if len(places) == 1 else [*settings.issuers()]
    sources = {
        issuer: KeySource(place, Keyring(settings.jwt_jwks_every_s))
        for issuer, place in zip(issuers, places, strict=False)
    }
    return Tokens(expected, key, sources)
