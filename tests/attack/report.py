"""What is told of an attack: what each kind was told, what people felt, what it cost."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.attack.crowd import heard
from tests.attack.stand import Seen, Stand
from tests.faults.verdict import Wrong
from tests.footprint import table


def told(stand: Stand, seen: Seen) -> str:
    """Give all of it, as text."""
    return "\n".join(
        [
            heard(stand.tally),
            "",
            *_felt(stand),
            "",
            table(stand.looks),
            "",
            *(f"load, {when}: {loads[0]:.1f}" for when, loads in stand.loads.items()),
            f"attackers: {stand.tally.cpu_s:.0f} CPU s",
            f"people: {dict(sum((each.counts for each in stand.honest), Counter[str]()))}",
            *verdict(seen),
        ]
    )


def figures(stand: Stand, seen: Seen) -> dict[str, Any]:
    """Give all of it, to be kept."""
    return {
        "attacks": stand.tally.told,
        "attackers CPU s": stand.tally.cpu_s,
        "felt": {part: felt.figures() for part, felt in stand.felt.items()},
        "ratios": ratios(stand),
        "processes": {
            when: {name: [each.rss_bytes, each.files] for name, each in looks.items()}
            for when, looks in stand.looks.items()
        },
        "load": stand.loads,
        "answers": seen.answers,
        "wrong": {str(wrong): count for wrong, count in seen.verdict.counts.items()},
        "verified": seen.verified,
        "counted": seen.counted,
        "restarts": seen.restarts,
        "raised": seen.raised,
    }


def ratios(stand: Stand) -> dict[str, float]:
    """Give what people felt under attack over what they felt before it."""
    quiet, attack = (stand.felt[part].figures() for part in ("quiet", "attack"))
    return {name: attack[name] / quiet[name] for name in quiet if "p" in name and quiet[name]}


def well(stand: Stand, seen: Seen) -> bool:
    """Whether exactness held, in all that was said and by every process."""
    exact = seen.verdict.clean and seen.verified
    return exact and not any(seen.restarts.values()) and not seen.raised


def _felt(stand: Stand) -> Iterator[str]:
    quiet, attack = (stand.felt[part].figures() for part in ("quiet", "attack"))
    yield f"{'people felt':<24}{'quiet':>10}{'attack':>10}{'ratio':>10}"
    for name, before in quiet.items():
        ratio = f"{attack[name] / before:10.2f}" if before and name in ratios(stand) else ""
        yield f"{name:<24}{before:>10.1f}{attack[name]:>10.1f}{ratio}"


def verdict(seen: Seen) -> Iterator[str]:
    """Give what it comes to, line by line."""
    counts = seen.verdict.counts
    yield (
        f"{seen.answers} answers: {counts[Wrong.LOST]} lost, {counts[Wrong.DOUBLED]} doubled,"
        f" {counts[Wrong.MIXED]} mixed"
    )
    yield f"verify: {'no rule is broken' if seen.verified else seen.verify_said[-1500:]}"
    again = {name: times for name, times in seen.restarts.items() if times}
    yield f"started again: {again or 'none'} · key sets read {seen.key_sets_read} times"
    counted = ", ".join(f"{name} {count:,.0f}" for name, count in seen.counted.items() if count)
    yield f"the gateways counted: {counted}"
    yield from seen.verdict.findings
    yield from seen.raised
