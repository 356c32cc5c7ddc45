"""Tokens for OAUTHBEARER: from a file that others keep fresh, or asked for by name and secret.

aiokafka asks for a token at each connection that it makes, and so may several clients at once; one
that was fetched serves until most of its time is over (RFC 6749, 4.4 and 5.1).
"""

import asyncio
import base64
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider

from schemas import brokers as names
from schemas.brokers import Brokers
from schemas.process.tls import Unreadable, token_in

FETCH_S = 5.0
ANSWER_MAX_BYTES = 64 * 1024
LASTS_S = 60.0
"""If the answer does not say for how long it is good."""
USED_SHARE = 0.8


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """What is in the file now."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def token(self) -> str:
        """Give the token. Raises Unreadable."""
        return await asyncio.to_thread(token_in, self._path)


class FetchedToken(AbstractTokenProvider):  # type: ignore[misc]
    """What the token's server gives for our name and secret (grant type client_credentials)."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until_s = 0.0

    async def token(self) -> str:
        """Give one that is good for a while. Raises Unreadable."""
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if now_s >= self._good_until_s:
                self._token, lasts_s = await self._fetched()
                self._good_until_s = now_s + lasts_s * USED_SHARE
            return self._token

    async def _fetched(self) -> tuple[str, float]:
        brokers = self._brokers
        form = {"grant_type": "client_credentials"}
        if brokers.token_scope:
            form["scope"] = brokers.token_scope
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(FETCH_S)) as session,
                session.post(
                    brokers.token_url,
                    data=form,
                    headers={"Authorization": _login(brokers)},
                    allow_redirects=False,
                ) as answer,
            ):
                if answer.status != 200:
                    raise self._refused(f"it answers {answer.status} to {names.USER}")
                return _read(await _body(answer))
        except Unreadable:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._refused(f"{type(error).__name__} {error}".strip()) from error
        except (ValueError, TypeError, KeyError) as error:
            raise self._refused("its answer holds no token") from error

    def _refused(self, why: str) -> Unreadable:
        return Unreadable(f"{names.TOKEN_URL}={self._brokers.token_url!r}: {why}")


def _login(brokers: Brokers) -> str:
    """Give name and secret as RFC 6749, 2.3.1 has them: each encoded as in a form."""
    login = f"{quote_plus(brokers.user)}:{quote_plus(brokers.password)}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Read all of it. Raises ValueError: it is too much."""
    body = b""
    async for part in answer.content.iter_any():
        body += part
        if len(body) > ANSWER_MAX_BYTES:
            raise ValueError("too large")
    return body


def _read(body: bytes) -> tuple[str, float]:
    answer: dict[str, Any] = msgspec.json.decode(body, type=dict)
    token = answer["access_token"]
    if not isinstance(token, str) or not token:
        raise ValueError("no token")
    return token, float(answer.get("expires_in") or LASTS_S)
