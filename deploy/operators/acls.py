"""The ACLs that the tiers need: as lines for `kafka-acls.sh`, or given to the brokers at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import groupby

from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest

from deploy.operators.topics import TopicsUnusable, connected
from schemas.brokers import Kafka
from schemas.kafka_rights import Right

# Numbers of the protocol (org.apache.kafka.common: resource.ResourceType, acl.AclOperation, …).
_RESOURCES = {"topic": 2, "group": 3}
_OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
_LITERAL, _ALLOW, _ANY_HOST = 3, 3, "*"


def as_commands(rights: Iterable[Right], kafka: str) -> Iterator[str]:
    """Give the lines that grant them by Kafka's own tool, one for each user and resource."""
    for (principal, resource, name), same in groupby(
        rights, lambda right: (right.principal, right.resource, right.name)
    ):
        operations = [part for right in same for part in ("--operation", right.operation)]
        command = ["kafka-acls.sh", "--bootstrap-server", kafka]
        command += ["--command-config", "admin.properties", "--add"]
        command += ["--allow-principal", principal, *operations, f"--{resource}", name]
        yield shlex.join(command)


async def grant(kafka: Kafka, rights: Iterable[Right]) -> int:
    """Give the rights; one that is there already is no matter. Gives their number.

    Raises:
        TopicsUnusable: the brokers refuse, or do not answer in time.
    """
    count = 0
    async with connected(kafka) as admin:
        for right in rights:
            request = CreateAclsRequest(
                _RESOURCES[right.resource],
                right.name,
                _LITERAL,
                right.principal,
                _ANY_HOST,
                _OPERATIONS[right.operation],
                _ALLOW,
            )
            answer = await admin._send_request(request)
            for code, why in answer.creation_responses:
                if code:
                    error: type[KafkaError] = for_code(code)
                    raise TopicsUnusable(f"{right} was refused: {error.__name__} {why or ''}")
            count += 1
    return count
