"""What an attempt needs from outside: a way to write the log, a model, what all attempts share."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from schemas.log.producer import Headers
from workers.history.prompt import ChatMessage
from workers.model.stream import Deltas


class Sender(Protocol):
    """Writes a record and waits for the broker. Raises SendFailed."""

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        """Give the record's offset."""


class AskedModel(Protocol):
    """A model. Raises ModelFault."""

    def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int, so_far: str = ""
    ) -> AbstractAsyncContextManager[Deltas]:
        """Ask, and wait until it begins; with `so_far`, what follows that, or CannotContinue."""


@dataclass(frozen=True, slots=True)
class AttemptSettings:
    """What all attempts of a process share."""

    worker: str
    model: str
    system_prompt: str
    budget_tokens: int
    max_tokens: int
    chunk_every_s: float
    keep_reasoning: bool = True
