"""What a connection gives its client, whatever the tail has come to."""

from types import SimpleNamespace
from typing import Any, cast

from gateway.feed.followers import Feed
from gateway.socket.address import Address
from gateway.socket.connection import Connection
from gateway.socket.frame_bucket import PER_SECOND, FrameBuckets
from gateway.socket.shared import Shared
from schemas.frames import Snapshot
from schemas.shard_log import Record, ShardLog
from tests.unit.gateway.limits.alone import limiter

EVENT = (
    b'{"type":"ai_response_chunk","session_id":"s","message_id":"m","created_at":"",'
    b'"attempt":"a","sequence":1,"content":"x"}'
)


class Socket:
    """Takes everything."""

    open = True
    writable = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def push(self, frame: Any) -> None:
        self.sent.append(frame if isinstance(frame, bytes) else frame.encode())


def test_what_the_tail_had_not_read_at_the_join_comes_after_the_snapshot() -> None:
    # The broker's end was 6 when the client joined, the tail stood at 5: the fold ends there.
    log = ShardLog(5)
    shared = Shared(
        epoch=1,
        shards=1,
        tail=cast(Any, SimpleNamespace(shard_logs={0: log})),
        followers=cast(Any, None),
        submitter=cast(Any, None),
        snapshots=cast(Any, None),
        counters=cast(Any, SimpleNamespace(frames_sent=0, bytes_sent=0)),
        models=(),
        idle_limit_s=0.0,
        frame_buckets=FrameBuckets(PER_SECOND),
        limiter=limiter(),
        spawn=lambda work: None,
    )
    socket = Socket()
    connection = Connection(cast(Any, socket), Address("s", None, 0), 0, shared)
    connection._go_live(6)
    frame = Snapshot(session_id="s", cursor="1.0.4", messages=(), ended=())
    connection.take_snapshot(frame, 5)
    log.append([Record(5, 0, "s", EVENT)])
    connection.wake(5, Feed(log, "s", 1, 0))
    assert any(b'"cursor":"1.0.5"' in sent for sent in socket.sent)
