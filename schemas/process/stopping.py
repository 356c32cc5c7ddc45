"""How a process ends when it is asked to, whatever does not answer.

A start is given up (`unless_stopped`), and the end has its time (`Exit`): a client's close may wait
for a broker that stands still, psycopg's for a server's word on a cancel, the interpreter for a
thread of a library. Each close has a limit of its own where the library allows it; the exit's time
is the one that holds for all of them together.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import structlog

from schemas.process.logs import log_beside, stack_of

T = TypeVar("T")

GIVE_UP_LIMIT_S = 5.0
"""So long may a start that is given up take to let go of what it holds."""
CLOSE_LIMIT_S = 10.0
"""When all that matters is done, connections may take so long to close."""
STOP_MARGIN_S = 20.0
"""After its grace time a process may take so long to write what it must, and to close."""
TASKS_NAMED_MAX = 20

log = structlog.get_logger(__name__)


class StoppedFirst(Exception):
    """The process was asked to stop before its start was done."""


async def unless_stopped(stop: Awaitable[object], work: Coroutine[Any, Any, T]) -> T:
    """Give what the work gives. Raises StoppedFirst if `stop` is done before; the work is let go.

    `stop` itself is left as it is, so it can be asked for again.
    """
    stopped, working = asyncio.ensure_future(stop), asyncio.create_task(work)
    try:
        await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise StoppedFirst
    finally:
        if stopped is not stop:
            stopped.cancel()
        if not working.done():
            working.cancel()
            # Work that does not end when it is cancelled waits for a server: wait no longer.
            await asyncio.wait({working}, timeout=GIVE_UP_LIMIT_S)
        if working.done() and not working.cancelled():
            working.exception()  # seen: nobody asks for it once the start is given up


class Exit:
    """Ends the process at a set time with a set code, from a thread, if it has not ended before.

    Made in the loop's thread. The time that is set last holds.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._timer: threading.Timer | None = None

    def within(self, limit_s: float, code: int) -> None:
        """Be gone in `limit_s`."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(limit_s, self._leave, (limit_s, code))
        self._timer.daemon = True
        self._timer.start()

    def _leave(self, limit_s: float, code: int) -> None:
        try:
            stack, tasks = stack_of(self._watched), _running(self._loop)
            event = "leaving without waiting any longer"
            log_beside(log.warning, event, after_s=limit_s, code=code, tasks=tasks, stack=stack)
        finally:
            os._exit(code)


def _running(loop: asyncio.AbstractEventLoop) -> list[str]:
    tasks = list(asyncio.all_tasks(loop))[:TASKS_NAMED_MAX]
    return [f"{task.get_name()}: {task.get_coro()!r}" for task in tasks]
