"""What the scripted model was asked and what it wrote: the truth that tests compare with.

Bounded: the newest calls are kept whole, the counts for all of them.
"""

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

CALLS_KEPT = 10_000


@dataclass(slots=True)
class Call:
    """One request: who asked (`key`), the how-manieth for that key, and how it went."""

    key: str
    number: int
    messages: list[dict[str, Any]]
    model: str
    opened_s: float
    tokens: int = 0
    usage: dict[str, int] | None = None
    state: str = "open"  # open, done, fault (as scripted), closed (by the client, early)
    ended_s: float | None = None


@dataclass(slots=True)
class Ledger:
    """Counts and the newest calls, over the server's life or since the last reset."""

    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    by_key: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    open: int = 0
    max_open: int = 0
    tokens: int = 0

    def begin(self, key: str, messages: list[dict[str, Any]], model: str, now_s: float) -> Call:
        self.by_key[key] += 1
        call = Call(key, self.by_key[key], messages, model, now_s)
        self.calls.append(call)
        self.open += 1
        self.max_open = max(self.max_open, self.open)
        return call

    def wrote(self, call: Call, tokens: int) -> None:
        call.tokens += tokens
        self.tokens += tokens

    def end(self, call: Call, state: str, now_s: float) -> None:
        call.state, call.ended_s = state, now_s
        self.states[state] += 1
        self.open -= 1

    def of(self, key: str) -> list[Call]:
        return [call for call in self.calls if call.key == key]

    def summary(self) -> dict[str, Any]:
        return {
            "calls": sum(self.by_key.values()),
            "open": self.open,
            "max_open": self.max_open,
            "tokens": self.tokens,
            "states": dict(self.states),
            "by_key": dict(self.by_key),
        }

    def details(self, key: str | None) -> list[dict[str, Any]]:
        return [asdict(call) for call in self.calls if key is None or call.key == key]

    def reset(self) -> None:
        """Begins to count anew; what is open stays counted as open."""
        self.calls.clear()
        self.by_key.clear()
        self.states.clear()
        self.max_open, self.tokens = self.open, 0
