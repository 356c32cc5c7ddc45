"""One scripted answer, written to one request: its pace and its fault."""

import asyncio
import time

from aiohttp import web

from tests.scripted_model import wire
from tests.scripted_model.ledger import Call, Ledger
from tests.scripted_model.script import Script, going_on

BATCH_TOKENS = 64  # the most that one write carries, so that unpaced streams take turns
MURMUR_S = 0.05
LATE_END_S = 0.03
_CONTEXT = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens."
_HTTP_FAULTS = frozenset({"status", "context", "quota", "wrong_type", "drop"})


class Answer:
    """What one call gets. `state` says how it went so far, as the ledger names it."""

    def __init__(
        self,
        script: Script,
        call: Call,
        ledger: Ledger,
        released: asyncio.Event,
        with_usage: bool,
        so_far: str = "",
    ) -> None:
        # Until the end is reached, an end can only come from the client.
        self.state = "closed"
        self._script = script
        self._call = call
        self._ledger = ledger
        self._released = released
        self._with_usage = with_usage
        self._so_far = so_far
        self._at = 0
        self._wire = wire.Wire(script, call.number, call.model)
        self._response = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8"}
        )

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Writes the answer as scripted. Raises ConnectionError when the client is gone."""
        script = self._script
        if script.fault in _HTTP_FAULTS:
            self.state = "fault"
            return self._http_fault(request)
        if script.fault == "hang_headers":
            await asyncio.Event().wait()
        if script.fault == "slow_headers":
            await asyncio.sleep(script.fault_at / 1000)
        if script.fault == "hold_headers":
            await self._released.wait()
        await self._response.prepare(request)
        if script.fault == "empty_body":
            self.state = "fault"
        else:
            await self._send(self._wire.opening())
            if await self._tokens(request):
                await self._ending()
        await self._response.write_eof()
        return self._response

    def _http_fault(self, request: web.Request) -> web.Response:
        kind, script = self._script.fault, self._script
        if kind == "drop":
            _cut(request)
        if kind == "status":
            headers = {"retry-after": script.retry_after} if script.retry_after else {}
            return refusal(script.fault_at, f"scripted {script.fault_at}", headers=headers)
        if kind == "context":
            return refusal(400, _CONTEXT, code="context_length_exceeded")
        if kind == "quota":
            return refusal(429, "You exceeded your current quota", code="insufficient_quota")
        return web.Response(text="<h1>Welcome</h1>", content_type="text/html")

    async def _tokens(self, request: web.Request) -> bool:
        """Writes the tokens; False if the scripted fault ended the stream."""
        script = self._script
        struck = script.fault.endswith("_after")
        stop = min(script.fault_at, script.tokens) if struck else script.tokens
        await self._paced(await self._go_on() if self._so_far else 0, stop)
        if not struck:
            return True
        if script.fault == "hold_after":
            await self._released.wait()
            await self._paced(max(stop, self._at), script.tokens)
            return True
        await self._strike(request)
        return False

    async def _go_on(self) -> int:
        """Write what the script says of a text so far; gives the token that comes next."""
        script, on = self._script, going_on(self._script.key, self._so_far)
        named, self._wire.named = self._wire.named, on.call
        if script.prefill == "repeat":
            await self._send(self._wire.text(self._so_far))
        if script.prefill == "other":
            await self._paced(0, script.prefill_at)
            self._wire.named = named
            return script.prefill_at
        if on.rest:
            await self._send(self._wire.text(on.rest))
            self._ledger.wrote(self._call, 1)
        return on.index

    async def _paced(self, start: int, stop: int) -> None:
        rate = self._script.rate
        self._at = start
        if self._script.first_ms and not self._call.tokens:
            await asyncio.sleep(self._script.first_ms / 1000)
        began, at = time.monotonic(), start
        while at < stop:
            due = at + BATCH_TOKENS
            if rate:
                due = min(due, start + int((time.monotonic() - began) * rate) + 1)
            due = min(due, stop)
            if due > at:
                self._ledger.wrote(self._call, due - at)
                await self._send(self._wire.tokens(at, due))
                self._at = at = due
            pause_s = began + (at - start) / rate - time.monotonic() if rate and at < stop else 0
            await asyncio.sleep(max(pause_s, 0))

    async def _strike(self, request: web.Request) -> None:
        fault = self._script.fault
        if fault == "hang_after":
            await asyncio.Event().wait()
        while fault == "murmur_after":
            await self._send(b": still at it\n\n")
            await asyncio.sleep(MURMUR_S)
        self.state = "fault"
        if fault == "cut_after":
            # A moment for what was written to leave: an abort throws away what is still buffered.
            await asyncio.sleep(0.02)
            _cut(request)
        elif fault == "garbage_after":
            await self._send(wire.GARBAGE)
        elif fault == "error_after":
            await self._send(wire.ERROR)
        elif fault == "too_long_after":
            await self._send(wire.TOO_LONG)

    async def _ending(self) -> None:
        script, call = self._script, self._call
        if script.fault != "no_finish":
            await self._send(self._wire.finish())
        if script.usage and self._with_usage:
            # Counted otherwise than readers estimate, so that the two can't be taken for another.
            words = sum(len(str(message.get("content")).split()) + 3 for message in call.messages)
            call.usage = {"prompt_tokens": words, "completion_tokens": call.tokens}
            await self._send(self._wire.usage({**call.usage, "total_tokens": words + call.tokens}))
        if script.fault == "hang_end":
            await asyncio.Event().wait()
        # Before the last bytes: whoever has read them may ask the ledger at once.
        self.state = "done"
        if script.fault != "no_done":
            await self._send(self._wire.done())
        if script.fault == "late_end":
            await asyncio.sleep(LATE_END_S)

    async def _send(self, data: bytes) -> None:
        if "bytewise" not in self._script.dress:
            await self._response.write(data)
            return
        for index in range(len(data)):
            await self._response.write(data[index : index + 1])
            await asyncio.sleep(0)


def refusal(
    status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """An HTTP error as OpenAI words it."""
    error = {"message": message, "type": "scripted", "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
