"""Connections that a test leaves open: found by a later one, they would be told as its fault."""

import asyncio
from typing import Any

LAST_TURNS = 10
"""Who was accepted at the last moment has a transport only some turns of the loop later."""


async def cut_all(port: int | None = None) -> None:
    """Cut the connections of the running loop; those of a listener on this port only, if given."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(LAST_TURNS):
        await asyncio.sleep(0)
        for transport in list(loop._transports.values()):
            name = transport.get_extra_info("sockname") or ("", 0)
            if port is None or name[1:2] == (port,):
                transport.abort()
    await asyncio.sleep(0)
