"""The scripted model on a socket: OpenAI's streaming endpoint and a few for control.

POST /v1/chat/completions, GET /v1/models ·
GET /control/state (counts), GET /control/calls?key=… (each call with its messages) ·
POST /control/script {"default": "rate=50", "next": ["fault=status:429"]} · POST /control/release
(ends every hold_after) · POST /control/reset (counts anew, default orders).
"""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.scripted_model.answer import Answer, refusal
from tests.scripted_model.ledger import Ledger
from tests.scripted_model.script import BadScript, Script, read_script, with_orders

_OF_OTHERS = ("continue_final_message", "add_generation_prompt")


class ScriptedModel:
    """An async context manager: inside it the model listens on `url` (which ends in /v1)."""

    def __init__(self, *, default: str = "", host: str = "127.0.0.1", port: int = 0) -> None:
        self.ledger = Ledger()
        self.url = ""
        self._host, self._port = host, port
        self._first_default = self._default = with_orders(Script(), default)
        self._next: deque[str] = deque()
        self._released = asyncio.Event()
        self._peers: set[object] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "ScriptedModel":
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/control/state", self._state)
        app.router.add_get("/control/calls", self._calls)
        app.router.add_post("/control/script", self._set_script)
        app.router.add_post("/control/release", self._release)
        app.router.add_post("/control/reset", self._reset)
        # Handlers are cancelled when the client goes: that is how an early close is seen.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2
        )
        await self._runner.setup()
        # Hundreds connect in one moment; a full queue would make them wait a second.
        await web.TCPSite(self._runner, self._host, self._port, backlog=4096).start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def order(self, *orders: str) -> None:
        """The next calls follow these orders, one each (what their prompts say goes first)."""
        for order in orders:
            with_orders(Script(), order)
        self._next.extend(orders)

    def release(self) -> None:
        """Lets every call that is held (hold_after) go on."""
        self._released.set()
        self._released = asyncio.Event()

    # -- one call ----------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections were opened for answers."""
        return len(self._peers)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._peers.add(request.transport.get_extra_info("peername"))
        body = await request.json()
        messages = body.get("messages", [])
        try:
            script = self._script_for(messages)
        except BadScript as error:
            return refusal(422, f"scripted model: {error}")
        if not body.get("stream"):
            return refusal(422, "scripted model: it only streams")
        model = str(body.get("model", ""))
        call = self.ledger.begin(script.key, messages, model, time.monotonic())
        script = script.for_call(call.number)
        options = body.get("stream_options") or {}
        so_far = _so_far(messages)
        answer = Answer(
            script, call, self.ledger, self._released, bool(options.get("include_usage")), so_far
        )
        try:
            if so_far and (refused := _refused(script, body)) is not None:
                answer.state = "fault"
                return refused
            return await answer.write(request)
        except ConnectionError:
            return web.Response()
        finally:
            self.ledger.end(call, answer.state, time.monotonic())

    def _script_for(self, messages: list[dict[str, Any]]) -> Script:
        asked = [m["content"] for m in messages if m.get("role") == "user"]
        default = with_orders(self._default, self._next.popleft()) if self._next else self._default
        return read_script(str(asked[-1]) if asked else "", default=default)

    # -- control -----------------------------------------------------------------------------

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "scripted"}]})

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self.ledger.summary())

    async def _calls(self, request: web.Request) -> web.Response:
        return web.json_response(self.ledger.details(request.query.get("key")))

    async def _set_script(self, request: web.Request) -> web.Response:
        body = await request.json()
        try:
            if "default" in body:
                self._default = with_orders(self._first_default, body["default"])
            self.order(*body.get("next", []))
        except BadScript as error:
            return refusal(422, str(error))
        return web.json_response({})

    async def _release(self, request: web.Request) -> web.Response:
        self.release()
        return web.json_response({})

    async def _reset(self, request: web.Request) -> web.Response:
        self._default = self._first_default
        self._next.clear()
        self.ledger.reset()
        return web.json_response({})


def _so_far(messages: list[dict[str, Any]]) -> str:
    """The text that the call shall go on with; empty if it begins."""
    last = messages[-1] if messages else {}
    return str(last.get("content", "")) if last.get("role") == "assistant" else ""


def _refused(script: Script, body: dict[str, Any]) -> web.Response | None:
    """How a server that does not go on says so, in its way."""
    if script.prefill == "refuse":
        return refusal(400, "Expected last role User or Tool for serving but got assistant")
    if script.prefill == "strict" and any(name in body for name in _OF_OTHERS):
        return refusal(422, "Extra inputs are not permitted: continue_final_message")
    if script.prefill == "prefix" and not body["messages"][-1].get("prefix"):
        return refusal(400, "Expected last role User or Tool (or Assistant with prefix True)")
    return None
