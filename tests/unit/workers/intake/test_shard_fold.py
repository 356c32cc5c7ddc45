"""What a worker keeps of a shard that it has read."""

from tests.written import Say
from workers.intake.shard_fold import ShardFold


def test_a_gateways_canary_is_no_message_and_leaves_nothing_behind() -> None:
    fold = ShardFold(position=0, epoch=1)
    canary = Say("talklog-canary-1", "canary")
    for offset in range(3):
        outcome = fold.apply(canary.alive(f"a{offset}"), offset, timestamp_ms=offset, now=1.0)
        assert not outcome.counts
    assert fold.at_hand("talklog-canary-1").messages == []
    fold.forget_before(0, needed=lambda _: False)
    assert fold._sessions == {}
