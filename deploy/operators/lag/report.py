"""Two samples as a table for people, or as JSON for scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.operators.lag.sample import Part, Sample
from deploy.operators.lag.verdict import Health, Pace, Verdict, judge, pace, worst

HEADER = ("group", "topic", "shard", "records", "seconds", "read/s", "written/s", "caught up in")


def verdicts(before: Sample, after: Sample) -> dict[Part, Verdict]:
    """Judge every partition, in the order of group, topic and shard."""
    return {part: judge(before, after, part) for part in sorted(after.parts)}


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
        "partitions": [_values(before, after, part, verdict) for part, verdict in judged.items()],
    }


def _values(before: Sample, after: Sample, part: Part, verdict: Verdict) -> dict[str, Any]:
    seen, speed = after.parts[part], pace(before, after, part)
    return {
        "group": part.group,
        "topic": part.topic,
        "shard": part.shard,
        "start": seen.start,
        "end": seen.end,
        "position": seen.position,
        "committed_to_kafka": seen.committed,
        "records": seen.records,
        "seconds": round(after.seconds(part), 3),
        "read_per_s": None if speed is None else round(speed.read, 3),
        "written_per_s": None if speed is None else round(speed.written, 3),
        "catch_up_s": _rounded(speed.catch_up_s(seen.records)) if speed else None,
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
    for group, topic in sorted({(part.group, part.topic) for part in judged}):
        parts = [part for part in judged if (part.group, part.topic) == (group, topic)]
        rows.append(_total(before, after, parts, judged))
        rows += [
            _row(before, after, part, judged[part])
            for part in parts
            if every or after.parts[part].records or judged[part].health
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
    before: Sample, after: Sample, parts: list[Part], judged: dict[Part, Verdict]
) -> tuple[str, ...]:
    records = sum(after.parts[part].records for part in parts)
    seconds = max(after.seconds(part) for part in parts)
    paces = [speed for part in parts if (speed := pace(before, after, part))]
    speed = Pace(sum(p.read for p in paces), sum(p.written for p in paces)) if paces else None
    group, topic = parts[0].group, parts[0].topic
    worst_health = max(judged[part].health for part in parts)
    members = after.members.get(group)
    who = "" if members is None else f"{members} process{'' if members == 1 else 'es'}, "
    said = f"{who}{worst_health.name.lower()}"
    return (group, topic, "all", *_figures(records, seconds, speed), said)


def _row(before: Sample, after: Sample, part: Part, verdict: Verdict) -> tuple[str, ...]:
    figures = _figures(after.parts[part].records, after.seconds(part), pace(before, after, part))
    said = f"{verdict.health.name.lower()}: {verdict.reason}"
    return ("", "", str(part.shard), *figures, said)


def _figures(records: int, seconds: float, speed: Pace | None) -> tuple[str, ...]:
    if speed is None:
        return (f"{records:,}", f"{seconds:.1f}", "-", "-", "-")
    catch_up_s = speed.catch_up_s(records)
    until = "never" if catch_up_s is None else f"{catch_up_s:.0f} s"
    return (f"{records:,}", f"{seconds:.1f}", f"{speed.read:.1f}", f"{speed.written:.1f}", until)


def _footnote(after: Sample) -> Iterator[str]:
    """Say where the persister's copy in Kafka differs from its truth in Postgres."""
    behind = sum(
        max(seen.position - (seen.committed or seen.start), 0)
        for seen in after.parts.values()
        if seen.position is not None and seen.position != seen.committed
    )
    if behind:
        yield (
            "positions of the persister are those in Postgres (kafka_offsets); what it has "
            f"committed to Kafka, for other tools, is {behind:,} records behind"
        )
