"""Takes the oldest records out of a log, as retention does.

Also for a test that has written megabytes into the shared log: nothing is stored from there, so
every later snapshot of a session in the same shard reads all of it, and is refused past the scan's
bound.
"""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

THE_END = -1


async def trim(kafka: str, topic: str, shard: int, before: int = THE_END) -> None:
    """Let the shard's log begin at this offset: by default, forget all that is in it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, shard): RecordsToDelete(before)})
    finally:
        await admin.close()
