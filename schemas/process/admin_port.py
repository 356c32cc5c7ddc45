"""Health and metrics of a process on its admin port, on 127.0.0.1, never on a public one."""

from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import generate_latest

NotReady = str | None


class AdminPort:
    """Serves `/healthz` (the process lives), `/readyz` and `/metrics` between start and stop.

    `not_ready()` gives the reason why the process cannot serve now, or None; `failing()` what a
    process that is ready says of parts that fail.
    """

    def __init__(
        self,
        port: int,
        not_ready: Callable[[], NotReady],
        failing: Callable[[], Sequence[str]] = lambda: (),
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._port = port
        self._not_ready = not_ready
        self._failing = failing
        self._collectors = registry
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; nothing for port 0. Raises OSError if the port is taken."""
        if not self._port:
            return
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

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
