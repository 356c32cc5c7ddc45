"""Submit claims and the message rate in Redis: they save duplicate records and hold back floods.

Correctness needs no claim: a second record of a message id joins the first. So with Redis away a
message is published without one, and Redis is not asked again for a while, because a message must
not wait for it each time. The rate is then this gateway's own. Both are counted, and told once.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast

import structlog
from redis.exceptions import RedisError

from gateway.counters import Counters
from gateway.submit.rates import Rates
from schemas import redis_keys
from schemas.events import UserMessage
from schemas.process.redis_client import reason, redis_client

log = structlog.get_logger(__name__)

CONNECTIONS_MAX = 50
ANSWER_LIMIT_S = 0.5
LEAVE_ALONE_S = 5.0

Verdict = Literal["claimed", "pending", "accepted", "reused", "limited", "unknown"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What Redis says of a message; `unknown` if it is away. `claimed`: publish it, then say so."""

    verdict: Verdict
    key: str
    content_hash: str
    owner: str
    retry_after_ms: int = 0


class Claims:
    """Asks Redis, for a short time; an answer that does not come is `unknown`."""

    def __init__(self, url: str, epoch: int, messages_per_minute: int, counters: Counters) -> None:
        self._client = redis_client(
            url, connections_max=CONNECTIONS_MAX, answer_limit_s=ANSWER_LIMIT_S
        )
        self._redis = self._client.redis
        self._counters = counters
        self._rates = Rates(messages_per_minute)
        self._away = False
        self._claim = self._redis.register_script(_script("claim.lua"))
        self._release = self._redis.register_script(_script("release.lua"))
        self._epoch = epoch
        self._messages_per_minute = messages_per_minute
        self._ask_again_at_s = 0.0

    async def claim(self, message: UserMessage) -> Claim:
        """Claim the message for one publish, or learn what became of it before."""
        key = redis_keys.claim(self._epoch, message.session_id, message.message_id)
        content_hash = hashlib.sha256(message.content.encode()).hexdigest()[:32]
        owner = secrets.token_hex(8)
        arguments: list[str | int] = [
            content_hash,
            owner,
            redis_keys.CLAIM_PENDING_S,
            self._messages_per_minute,
        ]
        keys = [key, redis_keys.rate(message.session_id)]
        answer = await self._ask(lambda: self._claim(keys=keys, args=arguments))
        if not isinstance(answer, list):
            return self._unclaimed(message, key, content_hash, owner)
        verdict = cast(Verdict, answer[0].decode())
        return Claim(verdict, key, content_hash, owner, int(answer[1]))

    def _unclaimed(self, message: UserMessage, key: str, content_hash: str, owner: str) -> Claim:
        """Give what is said without Redis: it is published, as far as the rate allows."""
        self._counters.claims_missing += 1
        now_s = asyncio.get_running_loop().time()
        wait_ms = self._rates.take(message.session_id, now_s)
        verdict: Verdict = "limited" if wait_ms else "unknown"
        return Claim(verdict, key, content_hash, owner, wait_ms)

    async def known(self, session_id: str, message_id: str) -> bool | None:
        """Say whether the message was claimed, here or elsewhere; None: Redis is away."""
        key = redis_keys.claim(self._epoch, session_id, message_id)
        held = await self._ask(lambda: self._redis.exists(key))
        return None if held is None else bool(held)

    async def accept(self, claim: Claim) -> None:
        """Note that the broker has acknowledged the message."""
        value = f"accepted {claim.content_hash}"
        lives_s = redis_keys.CLAIM_ACCEPTED_S
        await self._ask(lambda: self._redis.set(claim.key, value, ex=lives_s))

    async def release(self, claim: Claim) -> None:
        """Give the claim back: what became of the publish is unknown."""
        value = f"pending {claim.content_hash} {claim.owner}"
        await self._ask(lambda: self._release(keys=[claim.key], args=[value]))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, question: Callable[[], Awaitable[object]]) -> object:
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_again_at_s:
            return None
        try:
            # Twice: to wait for a connection, then for the answer.
            async with asyncio.timeout(2 * ANSWER_LIMIT_S), self._client.place():
                answer = await question()
        # Said of a connection that was closed since it was last used: RuntimeError by uvloop,
        # AttributeError by a cluster's client, where another question's failure has closed it.
        except (RedisError, OSError, TimeoutError, RuntimeError, AttributeError) as error:
            self._ask_again_at_s = loop.time() + LEAVE_ALONE_S
            self._counters.redis_failures += 1
            if not self._away:
                log.warning("Redis is away: no claims, and a rate of our own", error=reason(error))
            self._away = True
            return None
        if self._away:
            log.info("Redis answers again")
        self._away = False
        return answer

    def away(self) -> int:
        """1 while Redis does not answer, as far as is known; else 0."""
        return int(self._away)


def _script(name: str) -> str:
    return files("gateway.submit").joinpath(name).read_text()
