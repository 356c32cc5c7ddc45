"""`python -m tests.integration.gateway.broken WHAT`: a gateway that can be broken while it runs.

SIGUSR1 breaks WHAT, SIGUSR2 mends it. Nothing is raised, no task ends, every reader reads:

* `wake`: records come, and no follower is told;
* `write`: followers are told, and write nothing;
* `publish`: what is published never leaves.
"""

import asyncio
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any

from gateway.feed.followers import Followers
from gateway.socket.connection import Connection
from schemas.log.producer import LogProducer

WAYS: dict[str, tuple[type, str]] = {
    "wake": (Followers, "records_came"),
    "write": (Connection, "_hand_over"),
    "publish": (LogProducer, "send"),
}


def swallow(*_: Any, **__: Any) -> None:
    pass


async def hang(*_: Any, **__: Any) -> None:
    await asyncio.Event().wait()


def setter(what: str, broken: bool) -> Callable[..., None]:
    owner, name = WAYS[what]
    well = getattr(owner, name)
    ill = hang if asyncio.iscoroutinefunction(well) else swallow
    return lambda *_: setattr(owner, name, ill if broken else well)


def main() -> None:
    what = sys.argv[1]
    signal.signal(signal.SIGUSR1, setter(what, broken=True))
    signal.signal(signal.SIGUSR2, setter(what, broken=False))
    sys.argv = ["gateway"]
    runpy.run_module("gateway", run_name="__main__")


if __name__ == "__main__":
    main()
