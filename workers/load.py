"""Tells the gateways, through Redis, how much this worker has to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from schemas import redis_keys
from schemas.load import Load, encode
from schemas.process.redis_client import AWAY, RedisClient
from workers.handover import Durations
from workers.intake.intake import Intake

EVERY_S = 1.0
AT_REST_EVERY_S = 2.0
"""A load that is as it was is told so often: a gateway that hears nothing new for a while takes the
worker for dead."""
CALL_LIMIT_S = 1.0


class Answering(Protocol):
    """The worker."""

    durations: Durations

    @property
    def running(self) -> int:
        """Attempts whose task has not ended."""


class LoadTeller:
    """`room`: so many answers may run at once."""

    def __init__(
        self, client: RedisClient, name: str, intake: Intake, worker: Answering, room: int
    ) -> None:
        self._name = name
        self._intake = intake
        self._worker = worker
        self._room = room
        self._place = client.place
        self._command: Callable[..., Awaitable[object]] = client.redis.execute_command

    async def run(self) -> None:
        """Tell it again and again, until cancelled; then take it back."""
        told = 0
        before: Load | None = None
        try:
            while True:
                told += 1
                load = self._load(told)
                await self._ask("HSET", encode(load))
                at_rest = before is not None and load == msgspec.structs.replace(before, told=told)
                await asyncio.sleep(AT_REST_EVERY_S if at_rest else EVERY_S)
                before = load
        finally:
            await self._ask("HDEL")

    def _load(self, told: int) -> Load:
        intake, worker = self._intake, self._worker
        return Load(
            told=told,
            shards=sorted(intake.owned),
            running=worker.running,
            room=self._room,
            waiting=len(intake.admission),
            answer_s=worker.durations.mean_s,
        )

    async def _ask(self, command: str, *value: bytes) -> None:
        """Ask Redis; whatever it does, the next second has another answer."""
        try:
            async with asyncio.timeout(CALL_LIMIT_S), self._place():
                await self._command(command, redis_keys.load(), self._name, *value)
        except AWAY:
            return
