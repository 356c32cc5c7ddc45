"""Any OpenAI-compatible model as a stream of text.

The `openai` client sends the request (its authentication, its errors), over aiohttp, but its
parsed stream is not used: an object for each token costs five times what reading the bytes does.
Nor is it waited for: what has gathered is read, now and then, and comes out as one text.

    async with model.stream(messages, model="…", max_tokens=1024) as deltas:
        deltas.read(now_s)   # None, Text, None, Text, …, Finished

Opening asks again (see `fault`) until the first byte is there, at the first address and then, if
there is one, at the fallback; from then on there is one call and one text. How a stream ends:

* in order: `Finished` with the reason. [DONE] may be missing when a reason came, and so may the
  usage; whatever goes wrong after the reason no longer matters.
* without a reason: `Finished(None, …)`, and the answer is `incomplete`.
* cut or unreadable: after some text the same, with `broken_off` saying why (the text stands);
  before it `ModelUnavailable`. An error told in the stream is `ModelUnavailable` anywhere.
* in silence: `ModelTimeout`. A model is alive while it sends anything but comments and greetings;
  thinking (reasoning, tool calls) is not shown, but it counts.

Leaving the block closes the connection to the model unless the stream was read to its end: that
is how an answer is cancelled.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from workers import metrics
from workers.history.prompt import ChatMessage
from workers.model.breaker import Breaker
from workers.model.continuation import tokens_left
from workers.model.endpoint import Address, Endpoint
from workers.model.faults import ModelFault, ask_again_after_s, told_of
from workers.model.joined import Joined, Only, ends_continued
from workers.model.seam import given_of
from workers.model.stream import Deltas, Finished, ModelStream, StreamLimits


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """How long each part of an answer may take, and how often it is asked for."""

    connect_s: float
    first_token_s: float  # from asking to the first sign of life, headers included
    idle_s: float
    whole_s: float  # all tries together, at all addresses
    retries: int  # at each address
    retry_after_max_s: float
    breaker_failures: int
    breaker_open_s: float


class Model:
    """A model behind one address, or behind a second when the first fails. Close with `aclose`."""

    def __init__(
        self,
        address: Address,
        *,
        limits: ModelLimits,
        fallback: Address | None = None,
        include_usage: bool = True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limits = limits
        self._include_usage = include_usage
        self._chance = chance
        self.endpoints = [
            Endpoint(
                each,
                breaker=Breaker(failures=limits.breaker_failures, open_s=limits.breaker_open_s),
                connect_s=limits.connect_s,
            )
            for each in (address, fallback)
            if each is not None
        ]

    async def aclose(self) -> None:
        """Close every connection to the model."""
        for endpoint in self.endpoints:
            await endpoint.aclose()

    @property
    def continues(self) -> bool:
        """Whether the address that is asked first may be asked to go on with a text."""
        return self.endpoints[0].continuation.form is not None

    @asynccontextmanager
    async def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int, so_far: str = ""
    ) -> AsyncIterator[Deltas]:
        """Ask the model and wait for the first byte. Raises ModelFault, also while reading.

        With `so_far` it is asked to go on with that text, and what comes is what follows it; of
        max_tokens the text has had its part. Raises CannotContinue then, also while reading.
        """
        max_tokens = tokens_left(max_tokens, so_far)
        if max_tokens <= 0:
            yield Only(Finished("length", None))
            return
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": max_tokens}
        if self._include_usage:
            body["stream_options"] = {"include_usage": True}
        try:
            opened, endpoint = await self._open(body, given_of(so_far))
        except ModelFault as failed:
            ending = ends_continued(failed) if so_far else None
            if ending is None:
                raise
            yield Only(ending)
            return
        try:
            yield Joined(opened, so_far, endpoint.continuation) if so_far else opened
        finally:
            await opened.close()

    async def _open(self, body: dict[str, Any], given: str) -> tuple[ModelStream, Endpoint]:
        now = asyncio.get_running_loop().time
        whole_at = now() + self._limits.whole_s
        ends: ModelFault | None = None
        for endpoint in self.endpoints:
            try:
                return await self._open_at(endpoint, body, whole_at, given), endpoint
            except ModelFault as failed:
                ends = failed if ends is None else told_of(ends, failed)
                if not failed.elsewhere or now() >= whole_at:
                    break
        assert ends is not None  # noqa: S101 - there is an address, and it failed
        raise ends

    async def _open_at(
        self, endpoint: Endpoint, body: dict[str, Any], whole_at: float, given: str
    ) -> ModelStream:
        limits = self._limits
        now = asyncio.get_running_loop().time
        tries = 0
        while True:
            tries += 1
            try:
                return await endpoint.ask(
                    body, StreamLimits(limits.first_token_s, limits.idle_s, whole_at), given
                )
            except ModelFault as failed:
                wait_s = ask_again_after_s(
                    failed,
                    tries=tries,
                    retries=limits.retries,
                    left_s=whole_at - now(),
                    retry_after_max_s=limits.retry_after_max_s,
                    chance=self._chance(),
                )
                # Nothing is gained by waiting for an address that will not be asked even then.
                if wait_s is None or wait_s < endpoint.opens_again_s:
                    raise
                metrics.MODEL_ASKED_AGAIN.labels(endpoint.name, failed.kind.value).inc()
            await asyncio.sleep(wait_s)
