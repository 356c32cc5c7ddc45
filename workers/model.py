"""Any OpenAI-compatible model as a stream of text.

The `openai` client sends the request (its authentication, its errors), over aiohttp, but its
parsed stream is not used: an object for each token costs five times what reading the bytes does.
What one read brings comes out as one piece of text.

    async with model.stream(messages, model="…", max_tokens=1024) as pieces:
        async for piece in pieces:   # Text, Text, …, Finished

Opening asks again (see `fault`) until the first byte is there; from then on there is one call and
one text. How a stream ends:

* in order: `Finished` with the reason. [DONE] may be missing when a reason came, and so may the
  usage; whatever goes wrong after the reason no longer matters.
* without a reason: `Finished(None, …)`, and the answer is `incomplete`.
* cut or unreadable: after some text the same, with `broken_off` saying why (the text stands);
  before it `ModelUnavailable`. An error told in the stream is `ModelUnavailable` anywhere.
* in silence: `ModelTimeout`. A model is alive while it sends anything but comments and greetings;
  thinking (reasoning, tool calls) is not shown, but it counts.

Leaving the block closes the connection to the model unless the stream was read to its end: that
is how an answer is cancelled. One address for now; the choice among several belongs into `_open`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx2
import openai

from workers.fault import (
    FaultKind,
    ModelFault,
    ask_again_after_s,
    fault,
    fault_of_status,
    retry_after_s,
)
from workers.model_stream import ModelStream, Piece, StreamLimits
from workers.prompt import ChatMessage


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """How long each part of an answer may take, and how often it is asked for."""

    connect_s: float = 5.0
    first_token_s: float = 60.0  # from asking to the first sign of life, headers included
    idle_s: float = 30.0
    whole_s: float = 600.0  # all tries together
    retries: int = 2
    retry_after_max_s: float = 20.0


class Model:
    """A model behind one address. Close it with `aclose`."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        limits: ModelLimits | None = None,
        include_usage: bool = True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limits = limits or ModelLimits()
        self._include_usage = include_usage
        self._chance = chance
        # Reads have no time-out of the client's own: each wait has one here that knows what for.
        timeout = httpx2.Timeout(None, connect=self._limits.connect_s)
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAioHttpClient(timeout=timeout),
        )

    async def aclose(self) -> None:
        """Closes every connection to the model."""
        await self._client.close()

    @asynccontextmanager
    async def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        """Asks the model and waits for the first byte. Raises ModelFault, also while reading.

        Whoever reads the pieces in a task of its own ends that task before leaving the block.
        """
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": max_tokens}
        if self._include_usage:
            body["stream_options"] = {"include_usage": True}
        opened = await self._open(body)
        try:
            yield opened
        finally:
            await opened.close()

    async def _open(self, body: dict[str, Any]) -> ModelStream:
        limits = self._limits
        now = asyncio.get_running_loop().time
        whole_at = now() + limits.whole_s
        tries = 0
        while True:
            tries += 1
            try:
                return await self._ask(body, whole_at)
            except ModelFault as failed:
                wait_s = ask_again_after_s(
                    failed,
                    tries=tries,
                    retries=limits.retries,
                    left_s=whole_at - now(),
                    retry_after_max_s=limits.retry_after_max_s,
                    chance=self._chance(),
                )
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)

    async def _ask(self, body: dict[str, Any], whole_at: float) -> ModelStream:
        create = self._client.chat.completions.with_streaming_response.create
        limits = StreamLimits(self._limits.first_token_s, self._limits.idle_s, whole_at)
        stream = ModelStream(create(stream=True, **body), limits)
        try:
            with _named_faults():
                await stream.open()
        except BaseException:  # a cancel too: no call is left open behind it
            await stream.close()
            raise
        return stream


@contextmanager
def _named_faults() -> Iterator[None]:
    """Names the errors of the libraries, before the first byte, by what follows."""
    try:
        yield
    except openai.APIStatusError as error:
        header = error.response.headers.get("retry-after")
        raise fault_of_status(
            error.status_code,
            codes=frozenset(str(told) for told in (error.code, error.type) if told),
            message=error.message,
            retry_after_s=retry_after_s(header, datetime.now(UTC)),  # noqa: TID251  (the edge)
        ) from error
    except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
        kind = FaultKind.CONNECT_TIMEOUT if _connect_timed_out(error) else FaultKind.UNREACHABLE
        raise fault(kind, f"the model can't be reached: {_first_cause(error)}") from error


def _connect_timed_out(error: BaseException) -> bool:
    # A server that hangs up before its headers also arrives as a connect time-out of the client;
    # only aiohttp's own error tells the two apart.
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return True
        cause = cause.__cause__
    return False


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"[:500]
