"""Intake through Faust, which only this file and `faust_consumer` know.

Faust gives group membership, delivery and commits. Its stock agents lose messages (it commits past
a record that is still worked on), so here is one agent whose body never waits for work, raw bytes,
and acknowledgements that the caller makes strictly in offset order a partition.

What must hold of the library, and is tested against it:

* Handlers of `on_partitions_revoked` are awaited before the member rejoins, while its heartbeats go
  on. That is where starts in flight are waited for.
* `message.generation_id` is the group's generation of the delivery.
* At the bound, `on_buffer_full` and `on_buffer_drop`; `pause_partitions` loses records of the batch
  in hand and commits past them.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faust
import structlog
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP

from schemas.brokers import Kafka
from schemas.log.kafka_client import arguments
from schemas.topics import USER_MESSAGES, WORKER_GROUP
from workers.faust_consumer import BATCH_RECORDS, QuietMonitor, SeekingConsumer

log = structlog.get_logger(__name__)

STOP_TIMEOUT_S = 5.0
"""So long is leaving waited for; the group's own time-out (6 s) is hardly longer."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One record of `user_messages` as Faust delivered it; `generation` is that of its delivery."""

    shard: int
    offset: int
    generation: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]
    begins: int | None = None
    """Where delivery of the shard begins, with its first record after an assignment."""


class Receiver(Protocol):
    """Who is told what the group does. `delivered` must not block."""

    def delivered(self, record: UserRecord) -> None:
        """A record came."""

    async def revoked(self) -> None:
        """Every shard is taken away; the member rejoins when this returns."""

    def assigned(self, shards: set[int]) -> None:
        """Exactly these shards belong to this process now."""


class IntakeCrashed(Exception):
    """Faust has stopped by itself: leave the process, another start is safe."""


class FaustIntake:
    """Membership in the workers' group, from `start` to `stop`."""

    def __init__(
        self, kafka: Kafka, receiver: Receiver, *, folder: Path, group: str = WORKER_GROUP
    ) -> None:
        self._receiver = receiver
        self._events: dict[tuple[int, int], Any] = {}
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None
        self._app = faust.App(
            group,
            broker=[f"aiokafka://{address}" for address in str(kafka).split(",")],
            broker_credentials=_credentials(kafka),
            datadir=str(folder),
            autodiscover=False,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            key_serializer="raw",
            value_serializer="raw",
            # True would hold the group until every running answer has ended.
            stream_wait_empty=False,
            broker_commit_interval=0.5,
            # A stream that is stopped at its bound must not be thrown out: it never comes back.
            broker_max_poll_interval=86_400.0,
            broker_session_timeout=6.0,
            broker_heartbeat_interval=1.0,
            broker_request_timeout=10.0,
            broker_max_poll_records=BATCH_RECORDS,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=4096,
            Monitor=QuietMonitor,
        )
        topic = self._app.topic(USER_MESSAGES, key_type=bytes, value_type=bytes)
        self._app.agent(topic, name="intake")(self._agent)
        self._app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self._app.on_partitions_assigned.connect(self._on_assigned, weak=False)

    async def start(self) -> None:
        """Join the group; records are delivered from now on."""
        self._app.in_worker = True
        transport: Any = self._app.transport
        transport.Consumer = SeekingConsumer
        self._app.finalize()
        await self._app.start()

    async def crashed(self) -> IntakeCrashed:
        """Wait until Faust or the receiver has failed, and give the reason."""
        waits = [asyncio.create_task(event.wait()) for event in (self._app._crashed, self._failed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return IntakeCrashed(repr(self._failure or self._app.crash_reason))

    async def stop(self) -> None:
        """Commit what is acknowledged and leave the group, so that others take over at once.

        A broker that does not answer is waited for only so long. Leaving goes on meanwhile: the
        consumer's thread would else send heartbeats again when the broker is back, and keep the
        shards from the others while our answers end. A second call does nothing.
        """
        if self._leaving is not None:
            return
        self._events.clear()
        self._leaving = asyncio.create_task(self._app.stop())
        self._leaving.add_done_callback(_seen)
        await asyncio.wait({self._leaving}, timeout=STOP_TIMEOUT_S)

    def acknowledge(self, shard: int, offset: int) -> None:
        """The record is done; only ever the oldest unacknowledged one of its shard."""
        event = self._events.pop((shard, offset), None)
        if event is not None:
            event.ack()

    def record(self, shard: int, offset: int) -> UserRecord | None:
        """Give an unacknowledged record again."""
        event = self._events.get((shard, offset))
        return None if event is None else _delivered(event.message)

    def committed(self, shard: int) -> int:
        """Where delivery of an owned shard begins if nothing of it was delivered; 0 if unknown."""
        consumer: Any = self._app.consumer
        return consumer._committed_offset.get(TP(USER_MESSAGES, shard)) or 0

    def stop_reading(self, shard: int) -> None:
        """Deliver no more of this shard, but for the batch that is in hand."""
        self._app.consumer.on_buffer_full(TP(USER_MESSAGES, shard))

    def read_on(self, shard: int) -> None:
        """Deliver again."""
        self._app.consumer.on_buffer_drop(TP(USER_MESSAGES, shard))

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            self._events[message.partition, message.offset] = event
            try:
                begins = self._begins(message.partition)
                self._receiver.delivered(_delivered(message, begins))
            except Exception as error:
                # Faust would acknowledge the record and go on. Nothing more is taken instead.
                self._failure = error
                self._failed.set()
                await asyncio.Event().wait()

    def _begins(self, shard: int) -> int | None:
        consumer: Any = self._app.consumer
        position: int | None = consumer.begins.pop(shard, None)
        return position

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self._events.clear()
        await self._receiver.revoked()

    async def _on_assigned(self, *arguments: Any, **_: Any) -> None:
        self._receiver.assigned({tp.partition for tp in arguments[1] if tp.topic == USER_MESSAGES})


def _credentials(kafka: Kafka) -> Any:
    """Give what Faust makes its own clients' arguments of. Raises BrokersRefuse."""
    ours = arguments(kafka)
    context = ours.get("ssl_context")
    if "sasl_oauth_token_provider" in ours:
        return OAuthCredentials(oauth_cb=ours["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in ours:
        return SASLCredentials(
            mechanism=ours["sasl_mechanism"],
            username=ours["sasl_plain_username"],
            password=ours["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def _seen(leaving: "asyncio.Task[None]") -> None:
    if not leaving.cancelled() and (error := leaving.exception()) is not None:
        # The group's session time-out does the rest.
        log.warning("could not leave the group", error=repr(error))


def _delivered(message: Any, begins: int | None = None) -> UserRecord:
    return UserRecord(
        shard=message.partition,
        offset=message.offset,
        generation=message.generation_id,
        timestamp_ms=round(message.timestamp * 1000),
        key=message.key or b"",
        value=message.value or b"",
        headers=dict(message.headers or ()),
        begins=begins,
    )
