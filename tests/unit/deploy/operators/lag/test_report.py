"""What `talklog lag` prints."""

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
    lines = [line.split("  ") for line in as_text(*samples())]
    text = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert text[1] == [
        "talklog-persister", "user_messages", "all", "0", "0.0", "0.0", "0.0", "0 s",
        "1 process, healthy",
    ]  # fmt: skip
    assert text[2] == [
        "talklog-workers", "user_messages", "all", "1,080", "2.5", "30.0", "20.0", "108 s",
        "2 processes, healthy",
    ]  # fmt: skip
    assert text[3] == ["0", "1,080", "2.5", "30.0", "20.0", "108 s", "healthy: under way"]
    assert text[4] == []
    assert "500 records behind" in text[5][0]
    assert text[6] == ["healthy"]


def test_every_shard_if_asked() -> None:
    assert len(list(as_text(*samples(), every=True))) == len(list(as_text(*samples()))) + 2


def test_without_a_pace_the_table_says_so() -> None:
    _, after = samples()
    lines = list(as_text(after, after))
    assert lines[2].split()[-6:] == ["-", "-", "-", "2", "processes,", "healthy"]


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
