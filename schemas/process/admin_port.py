"""Health and metrics of a process on its admin port, never on a public one.

It says nothing secret and changes nothing: whoever can reach it may read it. On this machine alone
(the default) it can be reached by every browser's pages too, under a name that was made to resolve
here: so there it answers only those that ask for this machine by its own names. Where it listens
for probes and scrapers from outside, who reaches it is the network's to say, by any name.
"""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import generate_latest

from schemas.process.connections import LOOPBACK, host_name, is_loopback

NotReady = str | None


class AdminPort:
    """Serves `/healthz` (the process lives), `/readyz` and `/metrics` between start and stop.

    `not_ready()` gives the reason why the process cannot serve now, or None; `failing()` what a
    process that is ready says of parts that fail. `host` is an address of this machine.
    """

    def __init__(
        self,
        port: int,
        not_ready: Callable[[], NotReady],
        failing: Callable[[], Sequence[str]] = lambda: (),
        registry: CollectorRegistry = REGISTRY,
        host: str = LOOPBACK,
    ) -> None:
        self._host = host
        self._port = port
        self._not_ready = not_ready
        self._failing = failing
        self._collectors = registry
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; nothing for port 0. Raises OSError if the port is taken."""
        if not self._port:
            return
        app = web.Application(middlewares=[_own_names] if is_loopback(self._host) else [])
        app.on_response_prepare.append(_without_version)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._not_ready()
        told = reason or "; ".join(["ready", *self._failing()])
        return web.Response(text=f"{told}\n", status=503 if reason else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._collectors), content_type="text/plain", charset="utf-8"
        )


@web.middleware
async def _own_names(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what was asked under another name than this machine's own for itself."""
    if not is_loopback(host_name(request.host) or ""):
        raise web.HTTPMisdirectedRequest(text="not a name of this machine for itself\n")
    return await handler(request)


async def _without_version(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
