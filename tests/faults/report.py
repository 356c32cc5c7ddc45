"""What is printed of a run: the table of faults, and the line of counters."""

import statistics
from collections import Counter

from tests.faults.field import MIB, Field, Occurrence
from tests.faults.verdict import Verdict, Wrong

HEAD = (
    "| fault | times | messages (running at once) | lost | doubled | mixed"
    " | begun anew | went on | ended in error | pause p50 | pause max | all well after |"
)


def table(field: Field) -> str:
    """Give a row for each fault; pauses are the longest that the reader of each message saw."""
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for name in dict.fromkeys(each.fault for each in field.occurrences):
        lines.append(_row(field, name, [each for each in field.occurrences if each.fault == name]))
    return "\n".join(lines)


def _row(field: Field, name: str, times: list[Occurrence]) -> str:
    counts = field.wrong(times).counts
    pauses = [pause for each in times for pause in each.pauses_s]
    errors: Counter[str] = sum((each.errors for each in times), Counter())
    return (
        f"| {name} | {len(times)}"
        f" | {len(pauses)} ({min(each.running for each in times)}+)"
        f" | {counts[Wrong.LOST]} | {counts[Wrong.DOUBLED]} | {counts[Wrong.MIXED]}"
        f" | {sum(each.begun_anew for each in times)} | {sum(each.went_on for each in times)}"
        f" | {', '.join(f'{count} {code}' for code, count in errors.items()) or 0}"
        f" | {statistics.median(pauses):.1f} s | {max(pauses):.1f} s"
        f" | {max(each.recovered_s for each in times):.0f} s |"
    )


def summary(field: Field, verdict: Verdict) -> str:
    """Give what it comes to."""
    told = [each for talker in field.talkers for each in talker.told]
    calls = field.model.state()["by_key"]
    errors = Counter(each.error for each in told if each.state == "error")
    counts = verdict.counts
    seen = sum((talker.counts for talker in field.talkers), Counter[str]())
    longest = max((each.pause_s for each in told), default=0.0)
    memory = ", ".join(f"{k} {v // MIB} MiB" for k, v in sorted(field.most_memory.items()))
    lines = [
        f"{len(told)} messages: {counts[Wrong.LOST]} lost, {counts[Wrong.DOUBLED]} doubled,"
        f" {counts[Wrong.MIXED]} mixed · {sum(calls[e.key] > 1 for e in told if e.key in calls)}"
        f" asked of the model again · ended in error: {dict(errors) or 0}",
        f"longest pause {longest:.1f} s · {field.watch.unheard} records nobody listened to"
        f" · most memory: {memory}"
        + (f" · OVER THE BOUND: {field.too_big()}" if field.too_big() else ""),
        "readers: " + (", ".join(f"{what} {times}" for what, times in seen.items()) or "-"),
        f"verify: {'no rule is broken' if field.verified else field.verify_said[-1500:]}",
        *verdict.findings,
    ]
    return "\n".join(lines)
