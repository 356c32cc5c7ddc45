"""Questions to a group's coordinator, which a cluster that has just started has to find first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)

from schemas.log.log_reader import LogUnavailable, answered

REQUEST_S = 10.0
RETRY_S = 0.1

T = TypeVar("T")


async def committed_by(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """Ask for the offsets that a group has committed; none of a partition where it never did.

    Raises:
        LogUnavailable: the coordinator was not found in time, or did not answer.
    """
    found = await coordinated(lambda: admin.list_consumer_group_offsets(group))
    return {tp: position.offset for tp, position in found.items() if position.offset >= 0}


async def coordinated(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask a group's coordinator, again while the cluster still looks for it.

    Raises:
        LogUnavailable: it was not found in time, or did not answer.
    """
    deadline_s = time.monotonic() + REQUEST_S
    while True:
        try:
            return await answered(ask(), REQUEST_S)
        except LogUnavailable as error:
            if not isinstance(error.__cause__, _STILL_LOOKING):
                raise
            if time.monotonic() > deadline_s:
                raise LogUnavailable("Kafka has no coordinator for the groups") from None
            await asyncio.sleep(RETRY_S)


_STILL_LOOKING: tuple[type[KafkaError], ...] = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
