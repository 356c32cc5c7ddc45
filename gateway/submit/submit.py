"""Publishes what clients say, and tells them what became of it.

Durable before visible: `accepted` is said when the broker has acknowledged, by this gateway or, as
the claim says, by another before. A claim that is pending elsewhere is waited for; one that expires
(its gateway died between claim and publish) is published again.
"""

import asyncio

from gateway.counters import Counters
from gateway.limits.limiter import Limiter
from gateway.limits.overload import Overload
from gateway.limits.rules import Over, Who
from gateway.socket.protocol import refused
from gateway.submit.claims import Claim, Claims
from schemas.events import Cancel, UserEvent, UserMessage, encode
from schemas.frames import Accepted, Frame, GatewayErrorCode, Queued
from schemas.log.producer import LogProducer, SendFailed
from schemas.redis_keys import CLAIM_PENDING_S
from schemas.topics import USER_MESSAGES, shard_of

PENDING_POLL_S = 0.05
TOLD_FROM_S = 1.0
BUSY = ("user_running", "busy_after_s")
"""These limits are of what runs; the others are of how fast it comes."""
PENDING_LIMIT_S = CLAIM_PENDING_S + 1.0


class Submitter:
    """Takes one message or cancel at a time for each connection."""

    def __init__(
        self,
        producer: LogProducer,
        claims: Claims,
        limiter: Limiter,
        overload: Overload,
        shards: int,
        counters: Counters,
    ) -> None:
        self._counters = counters
        self._producer = producer
        self._claims = claims
        self._limiter = limiter
        self._overload = overload
        self._shards = shards

    async def submit(self, message: UserMessage, who: Who) -> Frame:
        """Publish the message; give `accepted` once the broker has acknowledged it, else the error.

        Takes at most the send time-out, or as long as another gateway's claim is pending.
        """
        claim = await self._claim(message)
        if claim.verdict == "accepted":
            self._counters.duplicates += 1
            return _accepted(message, duplicate=True)
        if claim.verdict == "reused":
            return _refused(message, "message_id_reused", "this id was sent with other content")
        over = await self._over(message, claim, who)
        if over is not None:
            code: GatewayErrorCode = "busy" if over.limit in BUSY else "rate_limited"
            return refused(message.session_id, code, over.text, message.message_id, over)
        try:
            await self._publish(message)
        except SendFailed:
            self._counters.outcomes_unknown += 1
            await self._claims.release(claim)
            text = "the log did not answer in time: send again with the same message_id"
            return _refused(message, "outcome_unknown", text)
        self._counters.submitted += 1
        self._claims.accept(claim)
        return _accepted(message, duplicate=False)

    def wait(self, accepted: Accepted) -> Queued | None:
        """Say how long a message that was accepted just now will wait, if that is worth a word."""
        wait = self._overload.wait(shard_of(accepted.session_id, self._shards))
        if accepted.duplicate or wait is None or wait.eta_s < TOLD_FROM_S:
            return None
        return Queued(
            session_id=accepted.session_id,
            message_id=accepted.message_id,
            position=wait.position,
            eta_ms=round(wait.eta_s * 1000),
        )

    async def has_accepted(self, session_id: str, message_id: str) -> bool:
        """Say whether the message may be in the log; with Redis away any may be."""
        return await self._claims.known(session_id, message_id) is not False

    async def stop(self, cancel: Cancel) -> Frame | None:
        """Publish a cancel; what it does is told by the log. Gives the error, if there is one."""
        try:
            await self._publish(cancel)
        except SendFailed:
            return refused(
                cancel.session_id,
                "unavailable",
                "the log did not answer in time: cancel again",
                cancel.message_id,
            )
        return None

    async def _claim(self, message: UserMessage) -> Claim:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PENDING_LIMIT_S
        claim = await self._claims.claim(message)
        while claim.verdict == "pending" and loop.time() < until_s:
            await asyncio.sleep(PENDING_POLL_S)
            claim = await self._claims.claim(message)
        return claim

    async def _over(self, message: UserMessage, claim: Claim, who: Who) -> Over | None:
        """Say which limit the message meets; then its claim is given back."""
        if claim.verdict == "limited":
            over = Over("messages_per_minute", self._claims.per_minute, claim.retry_after_ms)
            self._limiter.tell(over, who)
            return over
        met = self._overload.over(shard_of(message.session_id, self._shards))
        if met is not None:
            self._limiter.tell(met, who)
        met = met or await self._limiter.message(who, message.message_id)
        if met is not None:
            await self._claims.release(claim)
        return met

    async def _publish(self, event: UserEvent) -> None:
        shard = shard_of(event.session_id, self._shards)
        await self._producer.send(USER_MESSAGES, shard, event.session_id.encode(), encode(event))


def _accepted(message: UserMessage, *, duplicate: bool) -> Accepted:
    return Accepted(
        session_id=message.session_id,
        message_id=message.message_id,
        duplicate=duplicate,
        created_at=message.created_at,
    )


def _refused(message: UserMessage, code: GatewayErrorCode, text: str) -> Frame:
    return refused(message.session_id, code, text, message.message_id)
