"""Reads the keys of one owner, from a file or a URL, whenever the keyring says so.

One task reads, and nobody else: who needs a key that is not known wakes it and waits for its next
round, as all others do who come meanwhile.
"""

import asyncio
import contextlib
import time
from pathlib import Path

import aiohttp
import structlog

from gateway.identity.claims import CantTell
from gateway.identity.fetching import body_of, is_url, shown, why
from gateway.identity.keyring import Keyring
from gateway.identity.keys import KEYS_MAX_BYTES, BadKeys, keys_of
from gateway.identity.signature import Head, Key

log = structlog.get_logger(__name__)

READ_LIMIT_S = 5.0


class KeySource:
    """Keys from `place`; they are there once `run` has read them."""

    def __init__(self, place: str, keyring: Keyring) -> None:
        self.reads = 0
        self._place = place
        self._shown = shown(place)
        self._keyring = keyring
        self._wanted = asyncio.Event()
        self._round: asyncio.Future[None] | None = None

    def not_ready(self) -> str | None:
        """Say why no token can be held to these keys, or None."""
        if self._keyring.known(time.monotonic()):
            return None
        return f"no keys from {self._shown}: {self._keyring.failure}"

    def failing(self) -> str | None:
        """Say that they could not be read the last time, though those from before still count."""
        if not self._keyring.failure or self.not_ready():
            return None
        return f"keys of before: {self._shown}: {self._keyring.failure}"

    async def key(self, head: Head) -> Key:
        """Give the key that a token asks for; asks for the keys first if it is not known.

        Raises:
            BadToken: there is no such key.
            CantTell: it can't be told now.
        """
        key = self._keyring.find(head, time.monotonic())
        if key is None:
            if not self._keyring.asking:
                self._wanted.set()
            await self._next_round()
            key = self._keyring.find(head, time.monotonic())
        if key is None:
            raise CantTell("they were not read in time")
        return key

    async def run(self) -> None:
        """Read the keys, and again and again, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._keyring.ask_in_s(time.monotonic())):
                    await self._wanted.wait()
            await self.read()

    async def read(self) -> None:
        """Read the keys once."""
        self._wanted.clear()
        self._keyring.asked(time.monotonic())
        self.reads += 1
        before = self._keyring.failure
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                keys = keys_of(await _read(self._place))
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError, BadKeys) as error:
            self._keyring.failed(why(error))
            log.warning("the keys of tokens can't be read", place=self._shown, error=why(error))
        else:
            self._keyring.took(keys, time.monotonic())
            if before or keys.unusable:
                log.info(
                    "keys of tokens", place=self._shown, keys=len(keys), unusable=keys.unusable[:3]
                )
        if self._round is not None:
            self._round.set_result(None)
            self._round = None

    async def _next_round(self) -> None:
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        # Shielded: the others wait for the same one, and it is the reader's to end it.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._round), 2 * READ_LIMIT_S)


async def _read(place: str) -> bytes:
    if not is_url(place):
        return await asyncio.to_thread(_head_of_file, place)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=READ_LIMIT_S)) as session,
        # Not followed elsewhere: who is trusted is the address that was set.
        session.get(place, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise BadKeys(f"the answer is {response.status}")
        return await body_of(response, KEYS_MAX_BYTES)


def _head_of_file(place: str) -> bytes:
    with Path(place).open("rb") as file:
        return file.read(KEYS_MAX_BYTES + 1)
