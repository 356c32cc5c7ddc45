"""Notices from a thread that the event loop is blocked, and writes down where it stands.

A loop that one call holds up serves nobody, and nothing raises. A worker is the worst of it: the
thread of Faust's consumer goes on with its heartbeats, so that the group takes its shards from
nobody. So the stack of the loop's thread is logged once a block, and a block that lasts for the
limit ends the process: another start is safe and cheap. `schemas.process.blocked_loop` decides.

The thread asks the loop for a beat at each look, and counts for how long there is none. So a loop
that rests is woken seldom, and a block is known to within a look.

A call that holds the interpreter's lock all the time holds up this thread too, and is not seen.
"""

import asyncio
import contextlib
import os
import threading
import time
from typing import Self

import structlog
from prometheus_client import Counter, Gauge

from schemas.process.blocked_loop import Block, BlockWatch
from schemas.process.exit_codes import EXIT_FAILED
from schemas.process.logs import log_beside, stack_of

LOOK_EVERY_S = 0.5

BLOCKS = Counter("talklog_loop_blocks", "Times that the event loop was blocked")
LONGEST_S = Gauge("talklog_loop_blocked_longest_seconds", "The longest block of the event loop")

log = structlog.get_logger(__name__)


class LoopWatchdog:
    """Watches a loop while entered; enter and leave it in the loop's own thread.

    A block is logged from `log_s` on, and ends the process with exit code 1 from `limit_s` on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, log_s: float, limit_s: float) -> None:
        self._loop = loop
        # One beat may be late on a busy machine.
        limit_s = max(limit_s, 2 * LOOK_EVERY_S)
        self._watch = BlockWatch(log_s=log_s, limit_s=limit_s, nap_max_s=LOOK_EVERY_S)
        self._asked = 1
        self._beats = 0
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-watchdog", daemon=True)
        self._watched = 0
        self._longest_s = 0.0

    def __enter__(self) -> Self:
        self._watched = threading.get_ident()
        self._loop.call_soon(self._beat)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def _beat(self) -> None:
        self._beats += 1

    def _run(self) -> None:
        while not self._left.wait(LOOK_EVERY_S):
            block = self._watch.look(time.monotonic(), self._beats)
            if block is not None:
                self._tell(block)
            if self._beats == self._asked:
                self._asked += 1
                # The loop may be closed by now: it is left in its own thread.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._beat)

    def _tell(self, block: Block) -> None:
        self._longest_s = max(self._longest_s, block.for_s)
        LONGEST_S.set(self._longest_s)
        blocked_s = round(block.for_s, 1)
        match block.phase:
            case "begun":
                BLOCKS.inc()
                log_beside(
                    log.warning,
                    "the loop is blocked",
                    blocked_s=blocked_s,
                    stack=stack_of(self._watched),
                )
            case "ended":
                log_beside(log.warning, "the loop goes on", blocked_s=blocked_s)
            case "over":
                event = "the loop stays blocked: leaving"
                log_beside(log.critical, event, blocked_s=blocked_s, stack=stack_of(self._watched))
                # sys.exit would wait for what the loop's thread holds.
                os._exit(EXIT_FAILED)
