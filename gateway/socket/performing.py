"""Does what a client asks for: publishes, stops, looks up, renews; one action after another."""

import asyncio
import time
from typing import Protocol as Interface

from gateway.identity.claims import BadToken, CantTell
from gateway.limits.rules import Who
from gateway.snapshot.snapshots import FoldUnavailable
from gateway.socket.protocol import (
    Action,
    Beat,
    Close,
    GiveEarlier,
    Protocol,
    Renew,
    Send,
    StopAnswer,
    Submit,
    refused,
)
from gateway.socket.shared import Shared
from gateway.socket.websocket import WebSocket
from schemas.close_codes import CloseCode
from schemas.events import UserMessage
from schemas.frames import Accepted, Frame, GatewayErrorCode
from schemas.transcript import Place

LOOK_UP_LIMIT_S = 1.0
"""Whether there is something to stop is asked no longer than this: a stop is wanted at once."""
STOPPED_AGAIN_S = 5.0
"""A cancel that is in the log is not written again so soon."""
STOPPED_MAX = 64


class Client(Interface):
    """Who asks."""

    def say(self, frame: Frame) -> None:
        """Say this to the client."""

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Close the socket without waiting for it."""


class Performer:
    """What the protocol of one connection decides is done here."""

    __slots__ = (
        "_client",
        "_protocol",
        "_session_id",
        "_shard",
        "_shared",
        "_socket",
        "_stopped_at_s",
        "_who",
    )

    def __init__(
        self,
        client: Client,
        socket: WebSocket,
        protocol: Protocol,
        shard: int,
        shared: Shared,
        who: Who,
    ) -> None:
        self._client = client
        self._socket = socket
        self._protocol = protocol
        self._session_id = who.session_id
        self._shard = shard
        self._shared = shared
        self._who = who
        self._stopped_at_s: dict[str, float] = {}

    async def perform(self, action: Action) -> None:
        """Do it, and wait until the client has room for an answer."""
        match action:
            case Send(frame):
                self._client.say(frame)
            case Submit(message):
                await self._submit(message)
            case StopAnswer():
                await self._stop(action)
            case GiveEarlier(before, limit):
                await self._give_earlier(before, limit)
            case Renew(token):
                await self._renew(token)
            case Close(code, reason):
                self._client.close_soon(code, reason)
            case Beat():
                pass
        # A client that asks and never reads must not fill the buffer with answers.
        await self._socket.until_writable()

    async def _submit(self, message: UserMessage) -> None:
        answered = await self._shared.submitter.submit(message, self._who)
        self._client.say(answered)
        waits = isinstance(answered, Accepted) and self._shared.submitter.wait(answered)
        if waits:
            self._client.say(waits)

    async def _stop(self, stop: StopAnswer) -> None:
        """Publish the cancel, if there is something to stop: else the log would hold floods."""
        try:
            async with asyncio.timeout(None if stop.message_id is None else LOOK_UP_LIMIT_S):
                message_id = await self._to_stop(stop.message_id)
        except (FoldUnavailable, TimeoutError):
            # Whether a message that is named has ended can't be told now: the worker will know.
            message_id = stop.message_id
            if message_id is None:
                self._refuse("unavailable", "what runs can't be told now: name the message")
                return
        if message_id is None:
            text = "no answer runs in this session"
            if stop.message_id is not None:
                text = "no message of this id waits for an answer or is being answered"
            self._refuse("nothing_to_cancel", text, stop.message_id)
            return
        now_s = time.monotonic()
        if now_s - self._stopped_at_s.get(message_id, -STOPPED_AGAIN_S) < STOPPED_AGAIN_S:
            return  # it is in the log
        error = await self._shared.submitter.stop(stop.of(self._session_id, message_id))
        if error is not None:
            self._client.say(error)
            return
        self._stopped_at_s[message_id] = now_s
        while len(self._stopped_at_s) > STOPPED_MAX:
            del self._stopped_at_s[next(iter(self._stopped_at_s))]

    async def _give_earlier(self, before: str | None, limit: int) -> None:
        if (over := self._shared.limiter.read(self._who)) is not None:
            self._client.say(refused(self._session_id, "rate_limited", over.text, over=over))
            return
        try:
            snapshots = self._shared.snapshots
            page = await snapshots.earlier(self._session_id, self._shard, before, limit)
            self._client.say(page)
        except FoldUnavailable:
            self._refuse("unavailable", "earlier messages can't be read now")

    async def _renew(self, token: str) -> None:
        assert self._shared.tokens is not None  # noqa: S101 - else there is nothing to renew
        try:
            rights = await self._shared.tokens.rights(token)
        except BadToken as error:
            self._client.close_soon(CloseCode.UNAUTHENTICATED, str(error))
        except CantTell:
            # The token before holds until its own end.
            self._refuse("unavailable", "the keys of tokens can't be read now: send it again")
        else:
            for action in self._protocol.renewed(rights):
                await self.perform(action)

    async def _to_stop(self, message_id: str | None) -> str | None:
        """Give the message whose answer a cancel stops, by a fold made for it; None: there is none.

        Without `message_id` it is the one that runs. One that the fold does not know may have been
        accepted a moment ago, and no worker has said anything of it yet.
        """
        nothing_ended = Place(self._shared.epoch + 1, 0)
        asked = () if message_id is None else (message_id,)
        fold = await self._shared.snapshots.fold(
            self._session_id, self._shard, nothing_ended, 0, asked
        )
        if message_id in fold.ended:
            return None
        if message_id is not None:
            message = fold.transcript.messages.get(message_id)
            if message is not None:
                return None if message.terminal else message_id
            accepted = await self._shared.submitter.has_accepted(self._session_id, message_id)
            return message_id if accepted else None
        running = fold.transcript.running()
        if running is None:
            # A message between two attempts counts as running for who wants to stop it.
            running = next((m for m in fold.transcript.open_messages() if m.released), None)
        return None if running is None else running.message_id

    def _refuse(self, code: GatewayErrorCode, message: str, message_id: str | None = None) -> None:
        self._client.say(refused(self._session_id, code, message, message_id))
