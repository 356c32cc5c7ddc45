"""The rules of a lag verdict, as a table of what people meet."""

import dataclasses

import pytest

from deploy.operators.lag.sample import GroupShard, Sample, Standing
from deploy.operators.lag.verdict import Health, Pace, judge, pace, worst

WORKERS = GroupShard("talklog-workers", "user_messages", 0)
PERSISTER = GroupShard("talklog-persister", "ai_response_chunks", 0)
DAY_S = 24 * 3600


def two_samples(
    shard: GroupShard,
    *,
    start: int = 0,
    end: tuple[int, int] = (100, 100),
    position: tuple[int | None, int | None] = (100, 100),
    waited_s: float | None = None,
    members: int | None = 1,
) -> tuple[Sample, Sample]:
    """Ten seconds apart; each pair is (before, after)."""
    at = (1_000_000_000_000, 1_000_000_010_000)
    oldest = None if waited_s is None else at[1] - int(waited_s * 1000)
    standing = [Standing(start, end[i], position[i], position[i], oldest) for i in (0, 1)]
    group = {} if members is None else {shard.group: members}
    return Sample(at[0], {shard: standing[0]}, group), Sample(at[1], {shard: standing[1]}, group)


@pytest.mark.parametrize(
    ("story", "shard", "standing", "health", "rule"),
    [
        ("the topics were made anew", PERSISTER, {"position": (200, 200)}, "BROKEN", 1),
        ("trimmed unread", PERSISTER, {"start": 50, "position": (40, 40)}, "BROKEN", 2),
        ("trimmed unread and then quiet", WORKERS, {"start": 100, "position": (9, 9)}, "BROKEN", 2),
        ("quiet", WORKERS, {}, "HEALTHY", 3),
        ("quiet, nobody runs", WORKERS, {"members": 0}, "HEALTHY", 3),
        ("a new log", WORKERS, {"end": (0, 0), "position": (None, None)}, "HEALTHY", 3),
        (
            "behind by half of what the log keeps, at full speed",
            PERSISTER,
            {"position": (10, 90), "waited_s": 4 * DAY_S},
            "BROKEN",
            4,
        ),
        ("nobody reads", WORKERS, {"position": (90, 90), "waited_s": 1, "members": 0}, "BROKEN", 5),
        (
            "nobody has ever read",
            WORKERS,
            {"position": (None, None), "waited_s": 1, "members": 0},
            "BROKEN",
            5,
        ),
        ("just written", PERSISTER, {"position": (90, 90), "waited_s": 0.4}, "HEALTHY", 7),
        ("a long answer holds it", WORKERS, {"position": (9, 9), "waited_s": 599}, "HEALTHY", 7),
        ("longer than any answer", WORKERS, {"position": (9, 9), "waited_s": 661}, "BROKEN", 6),
        ("Postgres is away", PERSISTER, {"position": (90, 90), "waited_s": 16}, "BROKEN", 6),
        ("Postgres is back", PERSISTER, {"position": (10, 90), "waited_s": 16}, "WARNING", 6),
        ("cannot keep up", WORKERS, {"position": (10, 11), "waited_s": 900}, "WARNING", 6),
        ("never committed", WORKERS, {"position": (None, None), "waited_s": 900}, "BROKEN", 6),
        (
            "members could not be asked",
            WORKERS,
            {"position": (90, 90), "waited_s": 1, "members": None},
            "HEALTHY",
            7,
        ),
    ],
)
def test_the_rules(
    story: str, shard: GroupShard, standing: dict[str, object], health: str, rule: int
) -> None:
    verdict = judge(*two_samples(shard, **standing), shard)  # type: ignore[arg-type]
    assert (verdict.health.name, verdict.rule) == (health, rule), story
    assert verdict.reason


def test_how_long_until_nothing_waits() -> None:
    assert Pace(read=30, written=10).catch_up_s(100) == 5
    assert Pace(read=10, written=10).catch_up_s(100) is None
    assert Pace(read=0, written=0).catch_up_s(0) == 0


def test_a_pace_needs_two_moments_and_two_positions() -> None:
    before, after = two_samples(WORKERS, end=(100, 150), position=(50, 80))
    assert pace(before, after, WORKERS) == Pace(read=3, written=5)
    assert pace(after, after, WORKERS) is None
    assert pace(before, after, PERSISTER) is None
    assert pace(*two_samples(WORKERS, position=(None, 5)), WORKERS) is None


def test_what_could_not_be_seen_is_a_warning() -> None:
    before, after = two_samples(WORKERS)
    healthy = judge(before, after, WORKERS)
    assert worst([healthy], after) is Health.HEALTHY
    assert worst([healthy], dataclasses.replace(after, notes=("no Postgres",))) is Health.WARNING
    assert worst([], after) is Health.HEALTHY


def test_records_wait_from_the_logs_start_on() -> None:
    assert Standing(start=10, end=30, position=None, committed=None, oldest_ms=None).records == 20
    assert Standing(start=10, end=30, position=5, committed=5, oldest_ms=None).records == 20
    assert Standing(start=10, end=30, position=40, committed=40, oldest_ms=None).records == 0


def test_a_clock_that_is_behind_the_brokers_gives_no_negative_age() -> None:
    standing = Standing(0, 1, 0, 0, oldest_ms=5_000)
    assert Sample(4_000, {WORKERS: standing}).seconds(WORKERS) == 0
