"""Answers of the hook that may be given again, as long as each says; the oldest go at the bound.

Pure: the clock is an argument. A key is a digest of all that was asked with, so that no cookie is
kept, and nobody is given an answer to another's.
"""

from gateway.identity.hook_answer import Answer

ANSWERS_MAX = 10_000


class KeptAnswers:
    """At most `most` answers."""

    def __init__(self, most: int = ANSWERS_MAX) -> None:
        self._most = most
        self._until_s: dict[bytes, tuple[float, Answer]] = {}

    def get(self, key: bytes, now_s: float) -> Answer | None:
        """Give the answer to this question, if there is one that still counts."""
        until_s, answer = self._until_s.get(key, (0.0, None))
        if answer is not None and now_s >= until_s:
            del self._until_s[key]
            return None
        return answer

    def put(self, key: bytes, answer: Answer, now_s: float) -> None:
        """Keep an answer, if it says that it may be."""
        self._until_s.pop(key, None)
        if answer.kept_s > 0:
            self._until_s[key] = (now_s + answer.kept_s, answer)
        while len(self._until_s) > self._most:
            del self._until_s[next(iter(self._until_s))]
