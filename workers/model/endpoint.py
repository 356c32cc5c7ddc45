"""One address of a model: asked through its breaker, each call's outcome named and counted.

A call that ends before the first byte says something of its address (see `fault`); one that gives
the first byte was answered, whatever becomes of the text. A call that is cancelled says nothing.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import msgspec
import openai
import structlog

from workers import metrics
from workers.model.breaker import Breaker, BreakerState, Heard, Permit
from workers.model.client import Client, Http
from workers.model.continuation import CannotContinue, Continuation, continued, forms_of
from workers.model.dialect import Dialect
from workers.model.faults import FaultKind, ModelFault, fault, not_asked, retry_after_s
from workers.model.refusals import fault_of_status
from workers.model.stream import ModelStream, StreamLimits
from workers.model.told_errors import ToldError, told_error
from workers.model.transport import ACCEPTED_ENCODINGS, Transport

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is. `name` stands for it in metrics and log: an URL may hold a secret."""

    name: str
    base_url: str = field(repr=False)
    api_key: str = field(repr=False)
    model: str | None = None  # what the model is called here; None: as the answer asks
    continues: bool = True  # it may be asked to go on with a text


class Endpoint:
    """An address with its connections and its breaker. Close it with `aclose`."""

    def __init__(self, address: Address, *, breaker: Breaker, connect_s: float) -> None:
        self.name = address.name
        self._model = address.model
        self._breaker = breaker
        self._dialect = Dialect()
        url = urlsplit(address.base_url)
        forms = forms_of(url.hostname or "", url.path) if address.continues else ()
        self.continuation = Continuation(forms)
        self._now = asyncio.get_running_loop().time
        # Reads have no time-out of the client's own: each wait has one here that knows what for.
        timeout = httpx2.Timeout(None, connect=connect_s)
        self._client = Client(
            base_url=address.base_url,
            api_key=address.api_key,
            max_retries=0,
            timeout=timeout,
            default_headers={"Accept-Encoding": ACCEPTED_ENCODINGS},
            http_client=Http(
                timeout=timeout,
                follow_redirects=True,
                transport=Transport(address.base_url, openai.DEFAULT_CONNECTION_LIMITS),
            ),
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.close()

    @property
    def state(self) -> BreakerState:
        """Whether calls are let through."""
        return self._breaker.state(self._now())

    @property
    def opens_again_s(self) -> float:
        """How long nothing will be asked here, for sure."""
        return self._breaker.left_s(self._now())

    async def ask(self, body: dict[str, Any], limits: StreamLimits, given: str = "") -> ModelStream:
        """One call, up to its first byte; if `given`, to go on with that.

        Raises ModelFault, CannotContinue.
        """
        if given and self.continuation.form is None:
            raise CannotContinue
        permit = self._breaker.ask(self._now())
        if permit is None:
            metrics.MODEL_CALLS.labels(self.name, FaultKind.NOT_ASKED).inc()
            raise not_asked(self.opens_again_s)
        # Whatever ends the call gives the permit back: a probe that never ended would be the last.
        heard, outcome = Heard.NOTHING, "given_up"
        try:
            stream = await self._call_in_its_dialect(body, limits, given)
            heard, outcome = Heard.ANSWERED, "answered"
        except ModelFault as failed:
            heard, outcome = failed.heard, failed.kind.value
            raise
        except CannotContinue:
            heard, outcome = Heard.ANSWERED, "cannot_continue"
            raise
        finally:
            self._ended(permit, heard)
            metrics.MODEL_CALLS.labels(self.name, outcome).inc()
        return stream

    def _ended(self, permit: Permit, heard: Heard) -> None:
        before = self.state
        self._breaker.ended(permit, heard, self._now())
        after = self.state
        if after is not before:
            level = log.info if after is BreakerState.CLOSED else log.warning
            level("the model's breaker", address=self.name, state=after.value, was=before.value)

    async def _call_in_its_dialect(
        self, body: dict[str, Any], limits: StreamLimits, given: str
    ) -> ModelStream:
        while True:
            sent, form = self._dialect.body(body), self.continuation.form if given else None
            if form is not None:
                sent = continued(sent, form, given)
            elif given:
                raise CannotContinue
            try:
                return await self._call(sent, limits)
            except ModelFault as refused:
                # Each refusal teaches something that is not sent again, so this ends.
                if not self._dialect.learn(refused, sent) and not (
                    form is not None and self.continuation.refused(form, refused)
                ):
                    raise
                log.info("the model wants to be asked otherwise", address=self.name)

    async def _call(self, body: dict[str, Any], limits: StreamLimits) -> ModelStream:
        if self._model is not None:
            body = body | {"model": self._model}
        stream = ModelStream(partial(self._send, body | {"stream": True}), limits)
        try:
            with _named_faults():
                await stream.open()
        except BaseException:  # a cancel too: no call is left open behind it
            await stream.close()
            raise
        return stream

    async def _send(self, body: dict[str, Any]) -> httpx2.Response:
        # Not `chat.completions.create`: it looks at the type of every field of every turn, which
        # is half of what a call costs. What is sent here needs no translation.
        return await self._client.ask("/chat/completions", _encode(body))


@contextmanager
def _named_faults() -> Iterator[None]:
    """Name the errors of the libraries, before the first byte, by what follows."""
    try:
        yield
    except openai.APIStatusError as error:
        header = error.response.headers.get("retry-after")
        # The client's own message leaves out the body where its error is a plain string.
        told = told_error(error.body) or ToldError(None, frozenset(), error.message)
        codes = {str(code) for code in (error.code, error.type) if code}
        raise fault_of_status(
            error.status_code,
            codes=told.codes | codes,
            message=told.message,
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
