"""What an attempt writes by itself, beside the tick: its start, a repeated text, its last word."""

import asyncio
from collections.abc import Callable

import structlog

from schemas.events import Event, encode
from schemas.log.producer import Headers, SendFailed
from schemas.topics import SESSION_LOG
from workers.attempt.needs import Sender
from workers.intake.actions import Start

SEND_AGAIN_FIRST_S = 0.2
SEND_AGAIN_MAX_S = 5.0

log = structlog.get_logger(__name__)


class OwnRecords:
    """Records of one attempt, one after another.

    `changed` wakes whoever waits to send again; `wanted` says whether anything is to be sent.
    """

    def __init__(
        self,
        start: Start,
        *,
        sender: Sender,
        headers: Headers,
        changed: asyncio.Event,
        wanted: Callable[[], bool],
    ) -> None:
        self._shard = start.shard
        self._key = start.message.session_id.encode()
        self._sender = sender
        self._headers = headers
        self._changed = changed
        self._wanted = wanted

    async def send(self, event: Event) -> int:
        """Write it and wait for the broker; gives its offset. Raises SendFailed."""
        return await self._sender.send(
            SESSION_LOG, self._shard, self._key, encode(event), self._headers
        )

    async def insist(self, event: Event) -> int | None:
        """Send until it is acknowledged; None: it is not wanted any more."""
        wait_s = SEND_AGAIN_FIRST_S
        while self._wanted():
            try:
                return await self.send(event)
            except SendFailed as error:
                log.warning("send failed, again", error=str(error), after_s=wait_s)
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                wait_s = min(2 * wait_s, SEND_AGAIN_MAX_S)
        return None
