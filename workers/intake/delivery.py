"""A record of `user_messages` -> what it asks for, or why it can't be used. Pure."""

from collections.abc import Mapping
from typing import Protocol

from schemas.events import UndecodableEvent, UserMessage, decode_user_event
from schemas.topics import shard_of
from workers.intake.actions import Delivery


class UserRecord(Protocol):
    """A record as the group's member was given it."""

    @property
    def shard(self) -> int:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its place in the shard."""

    @property
    def begins(self) -> int | None:
        """Where the delivery of the shard begins, with its first record after an assignment."""

    @property
    def generation(self) -> int:
        """The consumer group's at the delivery."""

    @property
    def timestamp_ms(self) -> int:
        """Its log-append time."""

    @property
    def value(self) -> bytes:
        """An event, if it is one."""

    @property
    def headers(self) -> Mapping[str, bytes]:
        """The last of each name."""


def delivery_of(record: UserRecord, shards: int) -> Delivery:
    """Read a record; one that can't be used says so in `refused`."""
    event, refused = None, None
    try:
        event = decode_user_event(record.value)
    except UndecodableEvent as error:
        refused = str(error)
    if event is not None and shard_of(event.session_id, shards) != record.shard:
        refused = f"session {event.session_id} does not belong to shard {record.shard}"
    elif isinstance(event, UserMessage) and not event.content:
        refused = "no content"
    return Delivery(
        shard=record.shard,
        offset=record.offset,
        generation=record.generation,
        timestamp_ms=record.timestamp_ms,
        size_bytes=len(record.value),
        event=event,
        begins=record.begins,
        refused=refused,
        traceparent=record.headers.get("traceparent"),
    )
