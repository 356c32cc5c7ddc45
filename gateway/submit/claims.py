"""Submit claims and the message rate in Redis: they save duplicate records and hold back floods.

Correctness needs no claim: a second record of a message id joins the first. So with Redis away a
message is published without one, and the rate is this gateway's own. Both are counted.
"""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, cast

from gateway.counters import Counters
from gateway.limits.rates import Rates
from gateway.redis_client import RedisClient
from schemas import redis_keys
from schemas.events import UserMessage

MOMENT_S = 0.02

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

    def __init__(
        self, redis: RedisClient, epoch: int, messages_per_minute: int, counters: Counters
    ) -> None:
        self._redis = redis
        self._counters = counters
        self._rates = Rates(messages_per_minute)
        self._claim = redis.script("gateway.submit", "claim.lua")
        self._release = redis.script("gateway.submit", "release.lua")
        self._epoch = epoch
        self._accepted: dict[str, str] = {}
        self._changed = asyncio.Event()
        self.per_minute = messages_per_minute
        """Messages of a session; 0: no limit."""

    async def claim(self, message: UserMessage) -> Claim:
        """Claim the message for one publish, or learn what became of it before."""
        key = redis_keys.claim(self._epoch, message.session_id, message.message_id)
        content_hash = hashlib.sha256(message.content.encode()).hexdigest()[:32]
        owner = secrets.token_hex(8)
        arguments: list[str | int] = [
            content_hash,
            owner,
            redis_keys.CLAIM_PENDING_S,
            self.per_minute,
        ]
        keys = [key, redis_keys.rate(message.session_id)]
        answer = await self._claim(keys, arguments)
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
        return await self._redis.exists(key)

    def accept(self, claim: Claim) -> None:
        """Note that the broker has acknowledged the message.

        Redis is told in a moment; who sends it again before that finds the claim pending and waits.
        """
        self._accepted[claim.key] = f"accepted {claim.content_hash}"
        self._changed.set()

    async def run(self) -> None:
        """Tell Redis who was accepted, those of a moment at once. Until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(MOMENT_S)
            await self.write()

    async def write(self) -> None:
        """Tell Redis of those that it was not told of."""
        values, self._accepted = self._accepted, {}
        await self._redis.set_all(values, redis_keys.CLAIM_ACCEPTED_S)

    async def release(self, claim: Claim) -> None:
        """Give the claim back: what became of the publish is unknown."""
        value = f"pending {claim.content_hash} {claim.owner}"
        await self._release([claim.key], [value])
