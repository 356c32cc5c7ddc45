"""Publishes what clients say, and tells them what became of it.

Durable before visible: `accepted` is said when the broker has acknowledged, by this gateway or, as
the claim says, by another before. A claim that is pending elsewhere is waited for; one that expires
(its gateway died between claim and publish) is published again.
"""

import asyncio

from gateway.counters import Counters
from gateway.socket.protocol import refused
from gateway.submit.claims import Claim, Claims
from schemas.events import Cancel, UserEvent, UserMessage, encode
from schemas.frames import Accepted, Frame, GatewayErrorCode
from schemas.log.producer import LogProducer, SendFailed
from schemas.redis_keys import CLAIM_PENDING_S
from schemas.topics import USER_MESSAGES, shard_of

PENDING_POLL_S = 0.05
PENDING_LIMIT_S = CLAIM_PENDING_S + 1.0


class Submitter:
    """Takes one message or cancel at a time for each connection."""

    def __init__(
        self, producer: LogProducer, claims: Claims, shards: int, counters: Counters
    ) -> None:
        self._counters = counters
        self._producer = producer
        self._claims = claims
        self._shards = shards

    async def submit(self, message: UserMessage) -> Frame:
        """Publish the message; give `accepted` once the broker has acknowledged it, else the error.

        Takes at most the send time-out, or as long as another gateway's claim is pending.
        """
        claim = await self._claim(message)
        if claim.verdict == "accepted":
            self._counters.duplicates += 1
            return _accepted(message, duplicate=True)
        if claim.verdict == "reused":
            return _refused(message, "message_id_reused", "this id was sent with other content")
        if claim.verdict == "limited":
            wait_ms = claim.retry_after_ms
            text = f"too many messages: again after {wait_ms / 1000:.1f} s"
            return _refused(message, "rate_limited", text, wait_ms)
        try:
            await self._publish(message)
        except SendFailed:
            self._counters.outcomes_unknown += 1
            await self._claims.release(claim)
            text = "the log did not answer in time: send again with the same message_id"
            return _refused(message, "outcome_unknown", text)
        self._counters.submitted += 1
        await self._claims.accept(claim)
        return _accepted(message, duplicate=False)

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


def _refused(
    message: UserMessage, code: GatewayErrorCode, text: str, retry_after_ms: int | None = None
) -> Frame:
    return refused(message.session_id, code, text, message.message_id, retry_after_ms)
