"""What went wrong, told from the texts alone: lost, doubled, mixed. Pure.

Every token of the scripted model carries its message's key, the call and its number, so a text says
itself whether a piece is missing, is there twice, or is of another call or another message. Each
message has three texts, the one its reader was shown, the log's and the table's; each is held to
the script, and they to each other.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

CALLS_A_START = 3
"""The model is asked at most so often for one start: again only before the first byte, twice."""

_TOKEN = re.compile(r" ([^ /]+)/c(\d+)/(\d{4})")


class Wrong(StrEnum):
    """The three things that must never be."""

    LOST = "lost"
    DOUBLED = "doubled"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One message as one witness has it. `state` is queued, generating, complete or error."""

    state: str
    text: str
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One message that somebody asked, and what each witness says; None: knows nothing of it."""

    key: str
    tokens: int
    accepted: bool
    shown: Answer
    log: Answer | None
    table: Answer | None
    repeats: int = 0
    gaps: int = 0
    calls: int = 0
    starts: int = 0
    shrunk: int = 0


@dataclass(slots=True)
class Verdict:
    """How often each was found, and the first findings in words."""

    counts: dict[Wrong, int] = field(default_factory=lambda: dict.fromkeys(Wrong, 0))
    findings: list[str] = field(default_factory=list)

    LISTED = 50

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or mixed."""
        return not any(self.counts.values())

    def add(self, wrong: Wrong, finding: str) -> None:
        """Count one; a message is counted once for each witness that shows it."""
        self.counts[wrong] += 1
        if len(self.findings) < self.LISTED:
            self.findings.append(f"{wrong}: {finding}")


def judge(cases: Iterable[Case]) -> Verdict:
    """Hold every message to the script, and its witnesses to each other."""
    verdict = Verdict()
    for case in cases:
        _judge(case, verdict)
    return verdict


def text_faults(text: str, key: str, tokens: int, *, whole: bool) -> set[Wrong]:
    """What is wrong with a text; `whole`: it must be all of one call, else a beginning of it."""
    found = _TOKEN.findall(text)
    if "".join(f" {k}/c{call}/{index}" for k, call, index in found) != text:
        return {Wrong.MIXED}
    if {k for k, _, _ in found} - {key} or len({call for _, call, _ in found}) > 1:
        return {Wrong.MIXED}
    indices = [int(index) for _, _, index in found]
    faults = set()
    if len(set(indices)) < len(indices):
        faults.add(Wrong.DOUBLED)
    wanted = tokens if whole else max(indices, default=-1) + 1
    if set(range(wanted)) - set(indices):
        faults.add(Wrong.LOST)
    if not faults and indices != sorted(indices):
        faults.add(Wrong.MIXED)
    return faults


def _judge(case: Case, verdict: Verdict) -> None:
    if case.shown.state not in ("complete", "error"):
        said = "accepted" if case.accepted else "never accepted"
        verdict.add(Wrong.LOST, f"{case.key} ({said}) has no end: {case.shown.state}")
        return
    if case.repeats:
        verdict.add(Wrong.DOUBLED, f"{case.key}: its reader was shown {case.repeats} pieces twice")
    if case.calls > case.starts * CALLS_A_START:
        verdict.add(Wrong.DOUBLED, f"{case.key}: {case.calls} calls for {case.starts} starts")
    if case.shrunk:
        verdict.add(Wrong.LOST, f"{case.key}: its text shrank though it went on")
    if case.gaps:
        verdict.add(Wrong.LOST, f"{case.key}: its reader missed pieces, {case.gaps} times")
    witnesses: Mapping[str, Answer | None] = {
        "reader": case.shown,
        "log": case.log,
        "table": case.table,
    }
    for name, answer in witnesses.items():
        if answer is None or answer.state not in ("complete", "error"):
            state = answer.state if answer else "unknown"
            verdict.add(Wrong.LOST, f"{case.key}: ended, but {state} in the {name}")
            continue
        whole = answer.state == "complete" and answer.finish_reason == "stop"
        for wrong in sorted(text_faults(answer.text, case.key, case.tokens, whole=whole)):
            verdict.add(wrong, f"{case.key} in the {name}: {answer.text!r}")
    _agree(case, verdict)


def _agree(case: Case, verdict: Verdict) -> None:
    """Who ended otherwise, or says another text that is right in itself, saw another answer."""
    for name, answer in (("log", case.log), ("table", case.table)):
        if answer is None or answer.state not in ("complete", "error"):
            continue
        if (answer.state, answer.text) != (case.shown.state, case.shown.text):
            verdict.add(
                Wrong.MIXED,
                f"{case.key}: the {name} says {answer.state} {answer.text!r},"
                f" its reader was shown {case.shown.state} {case.shown.text!r}",
            )
