"""Two samples as a table for people, or as JSON for scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.operators.lag.sample import GroupShard, Sample
from deploy.operators.lag.verdict import Health, Pace, Verdict, judge, pace, worst

HEADER = ("group", "topic", "shard", "records", "seconds", "read/s", "written/s", "caught up in")


def verdicts(before: Sample, after: Sample) -> dict[GroupShard, Verdict]:
    """Judge every partition, in the order of group, topic and shard."""
    return {shard: judge(before, after, shard) for shard in sorted(after.shards)}


def health(before: Sample, after: Sample) -> Health:
    """Give the health of the whole."""
    return worst(list(verdicts(before, after).values()), after)


def as_json(before: Sample, after: Sample) -> dict[str, Any]:
    """Give the whole as plain values."""
    judged = verdicts(before, after)
    return {
        "at_ms": after.at_ms,
        "health": health(before, after).name.lower(),
        "notes": list(after.notes),
        "members": dict(after.members),
        "partitions": [_values(before, after, shard, verdict) for shard, verdict in judged.items()],
    }


def _values(before: Sample, after: Sample, shard: GroupShard, verdict: Verdict) -> dict[str, Any]:
    standing, speed = after.shards[shard], pace(before, after, shard)
    return {
        "group": shard.group,
        "topic": shard.topic,
        "shard": shard.shard,
        "start": standing.start,
        "end": standing.end,
        "position": standing.position,
        "committed_to_kafka": standing.committed,
        "records": standing.records,
        "seconds": round(after.seconds(shard), 3),
        "read_per_s": None if speed is None else round(speed.read, 3),
        "written_per_s": None if speed is None else round(speed.written, 3),
        "catch_up_s": _rounded(speed.catch_up_s(standing.records)) if speed else None,
        "health": verdict.health.name.lower(),
        "rule": verdict.rule,
        "reason": verdict.reason,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def as_text(before: Sample, after: Sample, *, every: bool = False) -> Iterator[str]:
    """Give the lines of a table: a line a group and topic, and one for each shard that waits.

    `every`: a line for each shard, also for those that are caught up.
    """
    judged = verdicts(before, after)
    rows: list[tuple[str, ...]] = [(*HEADER, "")]
    for group, topic in sorted({(shard.group, shard.topic) for shard in judged}):
        shards = [shard for shard in judged if (shard.group, shard.topic) == (group, topic)]
        rows.append(_total(before, after, shards, judged))
        rows += [
            _row(before, after, shard, judged[shard])
            for shard in shards
            if every or after.shards[shard].records or judged[shard].health
        ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield "  ".join([*cells, row[-1]]).rstrip()
    yield ""
    yield from after.notes
    yield from _footnote(after)
    yield f"{health(before, after).name.lower()}"


def _total(
    before: Sample, after: Sample, shards: list[GroupShard], judged: dict[GroupShard, Verdict]
) -> tuple[str, ...]:
    records = sum(after.shards[shard].records for shard in shards)
    seconds = max(after.seconds(shard) for shard in shards)
    paces = [speed for shard in shards if (speed := pace(before, after, shard))]
    speed = Pace(sum(p.read for p in paces), sum(p.written for p in paces)) if paces else None
    group, topic = shards[0].group, shards[0].topic
    worst_health = max(judged[shard].health for shard in shards)
    members = after.members.get(group)
    who = "" if members is None else f"{members} process{'' if members == 1 else 'es'}, "
    state = f"{who}{worst_health.name.lower()}"
    return (group, topic, "all", *_figures(records, seconds, speed), state)


def _row(before: Sample, after: Sample, shard: GroupShard, verdict: Verdict) -> tuple[str, ...]:
    figures = _figures(
        after.shards[shard].records, after.seconds(shard), pace(before, after, shard)
    )
    state = f"{verdict.health.name.lower()}: {verdict.reason}"
    return ("", "", str(shard.shard), *figures, state)


def _figures(records: int, seconds: float, speed: Pace | None) -> tuple[str, ...]:
    if speed is None:
        return (f"{records:,}", f"{seconds:.1f}", "-", "-", "-")
    catch_up_s = speed.catch_up_s(records)
    until = "never" if catch_up_s is None else f"{catch_up_s:.0f} s"
    return (f"{records:,}", f"{seconds:.1f}", f"{speed.read:.1f}", f"{speed.written:.1f}", until)


def _footnote(after: Sample) -> Iterator[str]:
    """Say where the persister's copy in Kafka differs from its truth in Postgres."""
    behind = sum(
        max(standing.position - (standing.committed or standing.start), 0)
        for standing in after.shards.values()
        if standing.position is not None and standing.position != standing.committed
    )
    if behind:
        yield (
            "positions of the persister are those in Postgres (kafka_offsets); what it has "
            f"committed to Kafka, for other tools, is {behind:,} records behind"
        )
