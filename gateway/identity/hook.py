"""Asks a team's own backend who a visitor is: TALKLOG_AUTH=hook, for those who have cookies.

One POST a handshake, bounded in time, size and number: who can't be asked about now is told to come
again, and nobody waits behind a backend that hangs for longer than the limit.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import msgspec
import structlog

from gateway.identity.claims import BadToken, CantTell
from gateway.identity.fetching import body_of, shown, why
from gateway.identity.hook_answer import Answer, BadAnswer, answer_of
from gateway.identity.kept_answers import KeptAnswers
from gateway.identity.rights import Rights

log = structlog.get_logger(__name__)

CALLS_AT_ONCE = 50
WAITING_MAX = 1_000
ANSWER_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Visitor:
    """What is known of who comes: the session that he wants, from where, and his headers."""

    session_id: str
    address: str
    headers: Mapping[str, str] = field(repr=False)


class Hook:
    """The backend at `url`; `secret` tells it that a gateway asks."""

    def __init__(
        self, url: str, secret: str = "", timeout_s: float = 2.0, headers: Sequence[str] = ()
    ) -> None:
        self.headers = tuple(headers)
        """Names of the headers that it is told, in lower case."""
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._kept = KeptAnswers()
        self._may_call = asyncio.Semaphore(CALLS_AT_ONCE)
        self._waiting = 0
        self._failure: str | None = None
        self._client: aiohttp.ClientSession | None = None
        self._calls = 0

    async def rights(self, visitor: Visitor) -> Rights:
        """Give what the visitor may do.

        Raises:
            BadToken: the backend does not know him.
            CantTell: it can't be asked now.
        """
        question = msgspec.json.encode(visitor)
        key = hashlib.sha256(question).digest()
        answer = self._kept.get(key, time.monotonic())
        if answer is None:
            answer = await self._asked(question)
            self._kept.put(key, answer, time.monotonic())
        if answer.rights is None:
            raise BadToken("not signed in")
        return answer.rights

    async def run(self) -> None:
        """Close the connections when it is cancelled."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._close()

    def not_ready(self) -> str | None:
        """Nothing: a backend that is away is away for every gateway, and open sockets go on."""
        return None

    def calls(self) -> int:
        """How often it was asked."""
        return self._calls

    def failing(self) -> Sequence[str]:
        """Say that the last call failed: nobody new is let in while that lasts."""
        return [] if self._failure is None else [f"the hook {shown(self._url)}: {self._failure}"]

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _asked(self, question: bytes) -> Answer:
        if self._waiting >= WAITING_MAX:
            raise CantTell("too many wait for the hook")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s), self._may_call:
                answer = await self._call(question)
        except (OSError, TimeoutError, aiohttp.ClientError, BadAnswer) as error:
            if self._failure is None:
                log.warning("the hook fails", url=shown(self._url), error=why(error))
            self._failure = why(error)
            raise CantTell(f"the hook fails: {self._failure}") from error
        finally:
            self._waiting -= 1
        if self._failure is not None:
            log.info("the hook answers again", url=shown(self._url))
        self._failure = None
        return answer

    async def _call(self, question: bytes) -> Answer:
        if self._client is None:
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._calls += 1
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["Authorization"] = f"Bearer {self._secret}"
        async with self._client.post(
            self._url, data=question, headers=headers, allow_redirects=False
        ) as response:
            body = await body_of(response, ANSWER_MAX_BYTES)
            if len(body) > ANSWER_MAX_BYTES:
                raise BadAnswer(f"the answer has more than {ANSWER_MAX_BYTES} bytes")
            return answer_of(response.status, body, time.time())
