"""Two samples as a table for people, or as JSON for scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from deploy.operators.lag.sample import GroupShard, Sample
from deploy.operators.lag.verdict import Health, Pace, Verdict, judge, pace, worst

HEADER = ("shard", "records", "seconds", "read/s", "written/s", "caught up")
COLUMNS = 80
INDENT = "  "


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
    """Give a table for each group and topic: all shards, and a line for each one that waits.

    No line is longer than a terminal of 80 columns, and none says well and never.

    `every`: a line for each shard, also for those that are caught up.
    """
    judged = verdicts(before, after)
    for group, topic in sorted({(shard.group, shard.topic) for shard in judged}):
        shards = [shard for shard in judged if (shard.group, shard.topic) == (group, topic)]
        yield _headline(after, shards, judged)
        yield from _table(before, after, shards, judged, every=every)
        yield ""
    for note in (*after.notes, *_footnote(after)):
        yield from wrap(note, COLUMNS)
    yield f"{health(before, after).name.lower()}"


def _headline(after: Sample, shards: list[GroupShard], judged: dict[GroupShard, Verdict]) -> str:
    members = after.members.get(shards[0].group)
    who = "" if members is None else f"{members} process{'' if members == 1 else 'es'}, "
    return f"{shards[0].group}, {shards[0].topic}: {who}{_worst(shards, judged).name.lower()}"


def _table(
    before: Sample,
    after: Sample,
    shards: list[GroupShard],
    judged: dict[GroupShard, Verdict],
    *,
    every: bool,
) -> Iterator[str]:
    rows = [(*HEADER, ""), (*_total(before, after, shards, judged), "")]
    for shard in shards:
        if every or after.shards[shard].records or judged[shard].health:
            rows.append(_row(before, after, shard, judged[shard]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        line = INDENT + "  ".join(cells)
        beside = f"{line}  {row[-1]}".rstrip()
        if len(beside) <= COLUMNS:
            yield beside
        else:
            yield line
            indent = INDENT + " " * (widths[0] + 2)
            yield from wrap(row[-1], COLUMNS, initial_indent=indent, subsequent_indent=indent)


def _total(
    before: Sample, after: Sample, shards: list[GroupShard], judged: dict[GroupShard, Verdict]
) -> tuple[str, ...]:
    records = sum(after.shards[shard].records for shard in shards)
    seconds = max(after.seconds(shard) for shard in shards)
    paces = [speed for shard in shards if (speed := pace(before, after, shard))]
    speed = Pace(sum(p.read for p in paces), sum(p.written for p in paces)) if paces else None
    return ("all", *_figures(records, seconds, speed, _worst(shards, judged)))


def _worst(shards: list[GroupShard], judged: dict[GroupShard, Verdict]) -> Health:
    return max(judged[shard].health for shard in shards)


def _row(before: Sample, after: Sample, shard: GroupShard, verdict: Verdict) -> tuple[str, ...]:
    standing, speed = after.shards[shard], pace(before, after, shard)
    figures = _figures(standing.records, after.seconds(shard), speed, verdict.health)
    state = verdict.health.name.lower()
    return (str(shard.shard), *figures, f"{state}: {verdict.reason}")


def _figures(records: int, seconds: float, speed: Pace | None, health: Health) -> tuple[str, ...]:
    if speed is None:
        return (f"{records:,}", f"{seconds:.1f}", "-", "-", "-")
    catch_up_s = speed.catch_up_s(records)
    # A reader that is well need not gain on the log between two looks: its work takes longer.
    not_now = "-" if health is Health.HEALTHY else "never"
    until = not_now if catch_up_s is None else f"{catch_up_s:.0f} s"
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
