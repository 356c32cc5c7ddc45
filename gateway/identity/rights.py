"""What somebody may do, where, and until when. Pure.

1. In a session that none of the patterns fits nothing may be done. Whether it exists is not asked.
2. There only what is among the verbs may be done: `read` (connect, resume, snapshot, history),
   `say`, `cancel`.
3. Whoever interrupts ends an answer as a cancel does: `say` with `interrupt` needs both.
4. When the time is over nothing may be done any more, anywhere.

A pattern is a session id in which `*` stands for any text, none too, and `{sub}` for the subject,
letter by letter: a `*` in a subject is a star, which no session id has.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Verb = Literal["read", "say", "cancel"]
VERBS: frozenset[Verb] = frozenset(get_args(Verb))
SUBJECT = "{sub}"


@dataclass(frozen=True, slots=True)
class Rights:
    """Of `subject` (None: it is not known who), until `until_s` of the wall clock (None: ever)."""

    subject: str | None
    sessions: tuple[str, ...]
    verbs: frozenset[Verb]
    until_s: float | None = None

    def may(self, verb: Verb, session_id: str) -> bool:
        """Rules 1 and 2."""
        return verb in self.verbs and any(
            fits(pattern, self.subject, session_id) for pattern in self.sessions
        )

    def over(self, now_s: float) -> bool:
        """Rule 4."""
        return self.until_s is not None and now_s >= self.until_s


EVERYTHING = Rights(None, ("*",), VERBS)
"""What everybody may do who reaches a gateway without authentication."""


def fits(pattern: str, subject: str | None, session_id: str) -> bool:
    """Whether the session is one of those that the pattern names."""
    if SUBJECT in pattern and subject is None:
        return False
    # Taken apart first: what the subject brings along is text, whatever it looks like.
    parts = [part.replace(SUBJECT, subject or "") for part in pattern.split("*")]
    if len(parts) == 1:
        return session_id == parts[0]
    first, *between, last = parts
    end = len(session_id) - len(last)
    if end < len(first) or not (session_id.startswith(first) and session_id.endswith(last)):
        return False
    at = len(first)
    for part in between:
        # The earliest place leaves the most for those behind it, so that none need be tried again.
        at = session_id.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
