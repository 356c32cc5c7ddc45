"""What `talklog lag` prints."""

import pytest

from deploy.operators.lag.report import as_json, as_text, health
from deploy.operators.lag.sample import GroupShard, Sample, Standing
from deploy.operators.lag.verdict import Health

WORKERS = [GroupShard("talklog-workers", "user_messages", shard) for shard in (0, 1)]
PERSISTER = GroupShard("talklog-persister", "user_messages", 0)


def samples() -> tuple[Sample, Sample]:
    def at(ms: int, position: int, end: int) -> Sample:
        return Sample(
            ms,
            {
                WORKERS[0]: Standing(0, end, position, position, ms - 2_500),
                WORKERS[1]: Standing(0, 7, 7, 7, None),
                PERSISTER: Standing(0, 2_000, 2_000, 1_500, None),
            },
            {"talklog-workers": 2, "talklog-persister": 1},
        )

    return at(1_000_000, 100, 1_200), at(1_002_000, 160, 1_240)


def test_the_table_shows_each_group_and_only_the_shards_that_wait() -> None:
    assert list(as_text(*samples())) == [
        "talklog-persister, user_messages: 1 process, healthy",
        "  shard  records  seconds  read/s  written/s  caught up",
        "    all        0      0.0     0.0        0.0        0 s",
        "",
        "talklog-workers, user_messages: 2 processes, healthy",
        "  shard  records  seconds  read/s  written/s  caught up",
        "    all    1,080      2.5    30.0       20.0      108 s",
        "      0    1,080      2.5    30.0       20.0      108 s  healthy: under way",
        "",
        "positions of the persister are those in Postgres (kafka_offsets); what it has",
        "committed to Kafka, for other tools, is 500 records behind",
        "healthy",
    ]


def waits_for_s(seconds: float, position: int = 100) -> tuple[Sample, Sample]:
    def at(ms: int, end: int) -> Sample:
        standing = Standing(0, end, position, position, int(1_000_000 - 1000 * seconds))
        return Sample(ms, {WORKERS[0]: standing}, {"talklog-workers": 1})

    return at(1_000_000, 3_000_000), at(1_002_000, 3_000_040)


def test_no_line_says_never_of_what_is_well() -> None:
    # An answer takes longer than the two looks lie apart; nothing is wrong with that.
    lines = [line for line in as_text(*waits_for_s(4)) if "healthy" in line]
    assert lines
    assert not any("never" in line for line in as_text(*waits_for_s(4)))
    assert any("never" in line and "broken" not in line for line in as_text(*waits_for_s(900)))


@pytest.mark.parametrize("seconds", [4, 900, 10**6])
@pytest.mark.parametrize("position", [100, 5_000_000])
def test_no_line_is_longer_than_a_terminal(seconds: int, position: int) -> None:
    assert max(map(len, as_text(*waits_for_s(seconds, position), every=True))) <= 80


def test_every_shard_if_asked() -> None:
    assert len(list(as_text(*samples(), every=True))) == len(list(as_text(*samples()))) + 2


def test_without_a_pace_the_table_says_so() -> None:
    _, after = samples()
    lines = list(as_text(after, after))
    assert lines[6].split()[-3:] == ["-", "-", "-"]


def test_what_could_not_be_seen_is_said() -> None:
    before, after = samples()
    unseen = Sample(after.at_ms, after.shards, {}, ("Postgres did not answer",))
    assert "Postgres did not answer" in list(as_text(before, unseen))
    assert health(before, unseen) is Health.WARNING


def test_json_holds_every_partition_with_its_verdict() -> None:
    told = as_json(*samples())
    assert told["health"] == "healthy"
    assert [shard["records"] for shard in told["partitions"]] == [0, 1080, 0]
    assert told["partitions"][1] == {
        "group": "talklog-workers",
        "topic": "user_messages",
        "shard": 0,
        "start": 0,
        "end": 1240,
        "position": 160,
        "committed_to_kafka": 160,
        "records": 1080,
        "seconds": 2.5,
        "read_per_s": 30.0,
        "written_per_s": 20.0,
        "catch_up_s": 108.0,
        "health": "healthy",
        "rule": 7,
        "reason": "under way",
    }
    assert told["partitions"][0]["committed_to_kafka"] == 1500
