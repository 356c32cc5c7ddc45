"""The orders a proxy takes, over HTTP on 127.0.0.1, for tests and for people with curl.

GET /links · POST /links/{name} {"mode": "open" | "refuse" | "hole" | "delay", "delay_ms": 100} ·
POST /links/{name}/cut · POST /links/{name}/cut_at, where the order is either
{"bytes": "COMMIT", "forward": true, "times": 1} (the cut comes with the piece that holds this text,
after it was passed on, or without) or {"once_seen": "COPY", "after_bytes": 5000, "times": 1}.
Every answer to a POST is the link's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from deploy.local.proxy.link import Link, Mode
from deploy.local.proxy.trigger import Trigger

DELAY_MAX_MS = 60_000
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Times = Annotated[int, msgspec.Meta(ge=0)]


class SetMode(msgspec.Struct, forbid_unknown_fields=True):
    """What the link does from now on."""

    mode: Mode
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=DELAY_MAX_MS)] = 0


class CutAt(msgspec.Struct, forbid_unknown_fields=True):
    """Cut with the piece that holds this text."""

    bytes: Text
    forward: bool = False
    times: Times = 1


class CutAfter(msgspec.Struct, forbid_unknown_fields=True):
    """Cut so many bytes after this text."""

    once_seen: Text
    after_bytes: Annotated[int, msgspec.Meta(ge=0)]
    times: Times = 1


Order = TypeVar("Order")


class Control:
    """The orders' handlers for these links."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links

    def app(self) -> web.Application:
        """What is to be served."""
        app = web.Application()
        app.router.add_get("/links", self._all)
        app.router.add_post("/links/{name}", self._set_mode)
        app.router.add_post("/links/{name}/cut", self._cut)
        app.router.add_post("/links/{name}/cut_at", self._cut_at)
        return app

    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response({name: _state(link) for name, link in self._links.items()})

    async def _set_mode(self, request: web.Request) -> web.Response:
        link, order = self._link(request), await _order(request, SetMode)
        try:
            await link.set_mode(order.mode, order.delay_ms / 1000)
        except OSError as error:
            raise web.HTTPConflict(text=f"it can't listen again: {error}") from error
        return web.json_response(_state(link))

    async def _cut(self, request: web.Request) -> web.Response:
        link = self._link(request)
        await link.cut()
        return web.json_response(_state(link))

    async def _cut_at(self, request: web.Request) -> web.Response:
        link = self._link(request)
        fields = await _order(request, dict[str, object])
        if "after_bytes" in fields or "once_seen" in fields:
            after = await _order(request, CutAfter)
            trigger = Trigger(after.once_seen.encode(), after_bytes=after.after_bytes)
            link.arm(trigger, after.times)
        else:
            at = await _order(request, CutAt)
            link.arm(Trigger(at.bytes.encode(), forward=at.forward), at.times)
        return web.json_response(_state(link))

    def _link(self, request: web.Request) -> Link:
        name = request.match_info["name"]
        if name not in self._links:
            raise web.HTTPNotFound(text=f"no link {name}; there are: {', '.join(self._links)}")
        return self._links[name]


async def _order(request: web.Request, kind: type[Order]) -> Order:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _state(link: Link) -> dict[str, Any]:
    addresses = [f"127.0.0.1:{route.port}" for route in link.routes]
    delay_ms = round(link.passing.delay_s * 1000)
    state = {"mode": link.mode, "delay_ms": delay_ms, "connections": link.connections}
    return state | {"armed": link.armed is not None, "addresses": addresses} | asdict(link.counts)
