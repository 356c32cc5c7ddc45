"""What is read ahead is bounded for the process, whatever the number of its shards."""

import pytest

from tests.worker_defaults import bounds
from workers.intake.actions import Action, Delivery, StopReading
from workers.intake.membership import Membership

RECORD_BYTES = 10 * 1024
TOTAL_BYTES = 200 * RECORD_BYTES


def delivered_until_stopped(ours: Membership, actions: list[Action], number: int) -> int:
    """Deliver records of a shard until reading of it stops; gives their bytes."""
    offset = 0
    while StopReading(number) not in actions:
        delivery = Delivery(number, offset, 1, 0, RECORD_BYTES, None)
        ours.deliver(ours.shards[number], delivery)
        offset += 1
    return offset * RECORD_BYTES


@pytest.mark.parametrize("shards", [1, 3, 20, 200])
def test_what_is_read_ahead_is_a_bound_of_the_process(shards: int) -> None:
    # Seen: 64 MiB a partition were 1.3 GB in a process that had 20 of them.
    actions: list[Action] = []
    ours = Membership(epoch=1, bounds=bounds(read_ahead_bytes=TOTAL_BYTES), actions=actions)
    ours.assign(range(shards))
    held = sum(delivered_until_stopped(ours, actions, number) for number in range(shards))
    assert TOTAL_BYTES <= held <= TOTAL_BYTES + shards * RECORD_BYTES  # the last one may stand out


def test_the_shares_follow_the_assignment() -> None:
    actions: list[Action] = []
    ours = Membership(epoch=1, bounds=bounds(read_ahead_bytes=TOTAL_BYTES), actions=actions)
    for shards in (4, 1, 2):
        ours.revoke()
        ours.assign(range(shards))
        actions.clear()
        held = delivered_until_stopped(ours, actions, 0)
        assert held == TOTAL_BYTES // shards


def test_a_record_larger_than_a_share_is_taken_one_at_a_time() -> None:
    actions: list[Action] = []
    ours = Membership(epoch=1, bounds=bounds(read_ahead_bytes=RECORD_BYTES), actions=actions)
    ours.assign(range(10))
    assert delivered_until_stopped(ours, actions, 3) == RECORD_BYTES
    ours.done(ours.shards[3], 0)
    actions.clear()
    ours.deliver(ours.shards[3], Delivery(3, 1, 1, 0, RECORD_BYTES, None))
    assert StopReading(3) in actions
