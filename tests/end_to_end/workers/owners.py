"""Who owns which shard of the workers' group, as the broker tells it."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from schemas.topics import USER_MESSAGES, WORKER_GROUP


class Owners:
    """Asks the broker for the group's members and what each was given."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def now(self) -> dict[int, str]:
        """The member that each shard belongs to; empty while the group is being divided anew."""
        [response] = await self._admin.describe_consumer_groups([WORKER_GROUP])
        # Of a DescribeGroups answer: error, group, state, protocol type, protocol, members …
        [(_, _, state, _, _, members, *_)] = response.groups
        if state != "Stable":
            return {}
        return {
            shard: member_id
            for member_id, _, _, _, assignment, *_ in members
            for topic, shards in _given(assignment)
            if topic == USER_MESSAGES
            for shard in shards
        }


@contextlib.asynccontextmanager
async def owners(kafka: str) -> AsyncIterator[Owners]:
    """Ask until the block ends."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        yield Owners(admin)
    finally:
        await admin.close()


def _given(assignment: bytes) -> list[tuple[str, list[int]]]:
    if not assignment:
        return []
    given: list[tuple[str, list[int]]] = ConsumerProtocolMemberAssignment.decode(
        assignment
    ).assignment
    return given
