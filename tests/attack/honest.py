"""A person who chats all the time, goes away for seconds, comes back, and says how it felt."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.talker import Talker
from tests.people import Person

AWAY_S = (1.0, 6.0)
AWAY_AFTER_FRAMES = 200
"""A person goes away after about so many frames."""


class Away(ConnectionError):
    """He has gone, of his own will."""


@dataclass(slots=True)
class Felt:
    """What all people together felt in a part of the run; a text that is resumed is not in it."""

    first_ms: list[float] = field(default_factory=list)
    """From `accepted` to the first token."""
    starts_ms: list[float] = field(default_factory=list)
    """The part of it up to `generating`: then a worker has it and asks its model."""
    gaps_ms: list[float] = field(default_factory=list)
    """From one piece of an answer to the next."""
    resumed: int = 0
    not_recovered: int = 0

    def figures(self) -> dict[str, float]:
        """Give the percentiles by name."""
        named = {
            "first token": self.first_ms,
            "of it to generating": self.starts_ms,
            "token gap": self.gaps_ms,
        }
        return {
            f"{name} p{percent} ms": _percentile(values, percent)
            for name, values in named.items()
            for percent in (50, 99)
        } | {"answers": float(len(self.first_ms)), "resumed": float(self.resumed)}


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


class Honest(Talker):
    """`felt` is asked each time: whoever measures begins a new one for each part of the run."""

    def __init__(
        self,
        urls: Callable[[], Sequence[str]],
        person: Person,
        chance: random.Random,
        tokens: tuple[int, int],
        rate: int,
        felt: Callable[[], Felt],
    ) -> None:
        super().__init__(urls, f"{person.name}-1", chance, tokens, rate, person.headers())
        self._felt = felt
        self._accepted_s: float | None = None
        self._piece_s: float | None = None
        self._gone = False

    def _take(self, frame: dict[str, Any]) -> None:
        super()._take(frame)
        self._feel(frame)
        if self.chance.random() * AWAY_AFTER_FRAMES < 1:
            self._gone = True
            raise Away

    def _away_s(self) -> float:
        waits_s = self.chance.uniform(*AWAY_S) if self._gone else super()._away_s()
        self._gone = False
        return waits_s

    def _feel(self, frame: dict[str, Any]) -> None:
        now_s, state = asyncio.get_running_loop().time(), frame.get("state")
        if state == "connected":
            self._accepted_s = self._piece_s = None
            self._felt().resumed += frame.get("recovered") is True
            self._felt().not_recovered += frame.get("recovered") is False
        elif not self.told or frame.get("message_id") != self.told[-1].key:
            return
        elif state == "accepted" and not frame.get("duplicate"):
            self._accepted_s, self._piece_s = now_s, None
        elif state == "generating" and self._accepted_s is not None:
            self._felt().starts_ms.append(1000 * (now_s - self._accepted_s))
        elif frame["type"] == "ai_response_chunk":
            self._came(now_s)

    def _came(self, now_s: float) -> None:
        if self._piece_s is not None:
            self._felt().gaps_ms.append(1000 * (now_s - self._piece_s))
        elif self._accepted_s is not None:
            self._felt().first_ms.append(1000 * (now_s - self._accepted_s))
        self._accepted_s, self._piece_s = None, now_s
