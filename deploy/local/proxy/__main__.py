"""`python -m deploy.local.proxy CONTROL_PORT LINK=PORT:HOST:SERVER_PORT …`: until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from deploy.local.proxy import routes
from deploy.local.proxy.control import Control
from deploy.local.proxy.link import Link


async def serve(control_port: int, ways: Sequence[routes.Route]) -> None:
    """Carry until it is told to stop. Raises OSError if a port is taken."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    links = {name: Link(those) for name, those in routes.by_link(ways).items()}
    runner = web.AppRunner(Control(links).app(), access_log=None, shutdown_timeout=1.0)
    async with AsyncExitStack() as running:
        for link in links.values():
            running.push_async_callback(link.stop)
            await link.start()
        running.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", control_port).start()
        print(f"links: {', '.join(links)}; orders on port {control_port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), [routes.read(each) for each in sys.argv[2:]]))
