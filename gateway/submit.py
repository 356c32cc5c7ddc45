"""Publishes what clients say, and tells them what became of it."""

from gateway.protocol import refused
from gateway.publisher import OutcomeUnknown, Publisher
from schemas.events import Cancel, UserEvent, UserMessage, encode
from schemas.frames import Accepted, Frame
from schemas.topics import USER_MESSAGES, shard_of


class Submitter:
    """Takes one message or cancel at a time for each connection."""

    def __init__(self, publisher: Publisher, shards: int) -> None:
        self._publisher = publisher
        self._shards = shards

    async def submit(self, message: UserMessage) -> Frame:
        """Publish the message; give `accepted` once the broker has acknowledged it, else the error.

        Takes at most the publisher's time-out.
        """
        try:
            await self._publish(message)
        except OutcomeUnknown:
            return refused(
                message.session_id,
                "outcome_unknown",
                "the log did not answer in time: send again with the same message_id",
                message.message_id,
            )
        return Accepted(
            session_id=message.session_id,
            message_id=message.message_id,
            duplicate=False,
            created_at=message.created_at,
        )

    async def stop(self, cancel: Cancel) -> Frame | None:
        """Publish a cancel; what it does is told by the log. Gives the error, if there is one."""
        try:
            await self._publish(cancel)
        except OutcomeUnknown:
            return refused(
                cancel.session_id,
                "unavailable",
                "the log did not answer in time: cancel again",
                cancel.message_id,
            )
        return None

    async def _publish(self, event: UserEvent) -> None:
        shard = shard_of(event.session_id, self._shards)
        await self._publisher.publish(USER_MESSAGES, shard, event.session_id, encode(event))
