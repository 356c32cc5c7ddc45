"""Whatever comes together and whichever socket is full: what a client is given folds to the log."""

import json
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.feed.followers import Followers
from gateway.socket.address import Address
from gateway.socket.connection import Connection
from gateway.socket.frame_bucket import PER_SECOND, FrameBuckets
from gateway.socket.shared import Shared
from schemas.events import Chunk, encode
from schemas.shard_log import Record, ShardLog
from tests.unit.gateway.feed.frames import payloads
from tests.unit.gateway.limits.alone import limiter

AT = "2026-01-01T00:00:00.000Z"


class Socket:
    """Takes what it is given while it is writable."""

    open = True

    def __init__(self) -> None:
        self.writable = True
        self.pushes: list[bytes] = []
        self.on_writable: Any = None

    def push(self, frame: bytes) -> None:
        self.pushes.append(frame)

    def contents(self) -> str:
        frames = [json.loads(each) for push in self.pushes for each in payloads(push)]
        return "".join(frame["content"] for frame in frames)

    def cursors(self) -> list[int]:
        frames = [json.loads(each) for push in self.pushes for each in payloads(push)]
        return [int(frame["cursor"].split(".")[2]) for frame in frames]


class Shard:
    """One shard with its followers; each joins at a position, perhaps ahead of the tail."""

    def __init__(self, *joined_at: int) -> None:
        self.log = ShardLog(0)
        self.followers = Followers(1)
        self.shared = Shared(
            epoch=1,
            shards=1,
            tail=cast(Any, SimpleNamespace(shard_logs={0: self.log})),
            followers=self.followers,
            submitter=cast(Any, None),
            snapshots=cast(Any, None),
            counters=cast(Any, SimpleNamespace(frames_sent=0, bytes_sent=0)),
            models=(),
            idle_limit_s=0.0,
            frame_buckets=FrameBuckets(PER_SECOND),
            limiter=limiter(),
            spawn=lambda work: None,
        )
        self.sockets = [Socket() for _ in joined_at]
        self.connections = [
            self._joined(socket, position)
            for socket, position in zip(self.sockets, joined_at, strict=True)
        ]
        self.said: list[str] = []

    def _joined(self, socket: Socket, position: int) -> Connection:
        connection = Connection(cast(Any, socket), Address("s", None, 0), 0, self.shared)
        self.followers.add(connection)
        connection._go_live(position)
        return connection

    def come(self, contents: list[str | None]) -> None:
        """Chunks of the session come together; None is a record of another one."""
        records: list[Record] = []
        for content in contents:
            offset = self.log.end + len(records)
            session = "other" if content is None else "s"
            self.said.append(content or "")
            chunk = Chunk(
                session_id=session,
                message_id="m",
                created_at=AT,
                attempt="a",
                sequence=offset + 1,
                content=content or "",
            )
            records.append(Record(offset, 0, session, encode(chunk)))
        if records:
            self.log.append(records)
            self.followers.records_came(0, records, self.log)


def test_one_record_is_one_write_and_several_too() -> None:
    shard = Shard(0, 0)
    shard.come(["a"])
    shard.come([None, "b", None, "c"])
    for socket in shard.sockets:
        assert len(socket.pushes) == 2
        assert socket.contents() == "abc"
    assert [each.position for each in shard.connections] == [5, 5]


def test_what_no_client_may_be_given_moves_the_position_and_gives_nothing() -> None:
    shard = Shard(0)
    record = Record(0, 0, "s", b"garbage")
    shard.log.append([record])
    shard.followers.records_came(0, [record], shard.log)
    shard.come(["a"])
    assert shard.sockets[0].cursors() == [1]


def test_payloads_are_read_as_the_library_writes_them() -> None:
    sizes = (0, 125, 126, 65535, 65536)
    written = [Frame(Opcode.TEXT, b"x" * size).serialize(mask=False) for size in sizes]
    assert [len(each) for each in payloads(b"".join(written))] == list(sizes)


STEP = st.one_of(
    st.lists(st.one_of(st.none(), st.text("ab", min_size=1, max_size=3)), max_size=4),
    st.integers(0, 2),  # a socket becomes full, or takes again
)


@given(steps=st.lists(STEP, max_size=30))
def test_each_client_is_given_everything_once_and_in_order(
    steps: list[list[str | None] | int],
) -> None:
    joined_at = (0, 1, 3)
    shard = Shard(*joined_at)
    for step in steps:
        if isinstance(step, list):
            shard.come(step)
            continue
        socket = shard.sockets[step]
        socket.writable = not socket.writable
        if socket.writable:
            shard.connections[step]._go_on()
    for socket, connection, position in zip(
        shard.sockets, shard.connections, joined_at, strict=True
    ):
        socket.writable = True
        connection._go_on()
        assert socket.contents() == "".join(shard.said[position:])
        assert socket.cursors() == sorted(set(socket.cursors()))
        assert connection.position == max(shard.log.end, position)
