"""What is printed of a run: the table of faults, and the line of counters."""

import statistics
from collections import Counter

from tests.faults.field import Field, Occurrence
from tests.faults.verdict import Verdict, Wrong

MIB = 1 << 20


def table(occurrences: list[Occurrence]) -> str:
    """Give a row for each fault: times, restarted, ended in error, pauses a reader saw."""
    lines = ["| fault | times | running | restarted | ended in error | pause p50 | pause max |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(each.fault for each in occurrences):
        lines.append(_row(name, [each for each in occurrences if each.fault == name]))
    return "\n".join(lines)


def _row(name: str, times: list[Occurrence]) -> str:
    pauses = [pause for each in times for pause in each.pauses_s]
    errors: Counter[str] = sum((each.errors for each in times), Counter())
    return (
        f"| {name} | {len(times)} | {min(each.running for each in times)}+"
        f" | {sum(each.restarted for each in times)}"
        f" | {', '.join(f'{count} {code}' for code, count in errors.items()) or 0}"
        f" | {statistics.median(pauses):.1f} s | {max(pauses):.1f} s |"
    )


def summary(field: Field, verdict: Verdict) -> str:
    """Give what it comes to."""
    told = [each for talker in field.talkers for each in talker.told]
    calls = field.model.state()["by_key"]
    errors = Counter(each.error for each in told if each.state == "error")
    counts = verdict.counts
    longest = max((each.pause_s for each in told), default=0.0)
    memory = ", ".join(f"{k} {v // MIB} MiB" for k, v in sorted(field.most_memory.items()))
    lines = [
        f"{len(told)} messages: {counts[Wrong.LOST]} lost, {counts[Wrong.DOUBLED]} doubled,"
        f" {counts[Wrong.MIXED]} mixed · {sum(calls[e.key] > 1 for e in told if e.key in calls)}"
        f" asked of the model again · ended in error: {dict(errors) or 0}",
        f"longest pause {longest:.1f} s · {field.watch.unheard} records nobody listened to"
        f" · most memory: {memory}",
        f"verify: {'no rule is broken' if field.verified else field.verify_said[-1500:]}",
        *verdict.findings,
    ]
    return "\n".join(lines)
