"""What the main thread of a page does, by the browser's own trace: CPU, not the time on the wall.

On a busy machine a task takes as long as the others let it; what it costs stays the same.
"""

import asyncio
from collections import Counter
from typing import Any

from playwright.async_api import CDPSession, Page

CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
TASK = "RunTask"
LONG_US = 50_000
FRAME = ("UpdateLayoutTree", "Layout", "PrePaint", "Paint")
"""What only the page's main thread does."""


class Trace:
    """Records from `begin` to `end`; the next may begin then."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self._events: list[dict[str, Any]] = []
        self._complete = asyncio.Event()
        session.on("Tracing.dataCollected", lambda told: self._events.extend(told["value"]))
        session.on("Tracing.tracingComplete", lambda _: self._complete.set())

    @classmethod
    async def of(cls, page: Page) -> "Trace":
        """Give the trace of a page."""
        return cls(await page.context.new_cdp_session(page))

    async def begin(self) -> None:
        """Record from now on."""
        self._events.clear()
        self._complete.clear()
        config = {"includedCategories": CATEGORIES}
        await self._session.send(
            "Tracing.start", {"transferMode": "ReportEvents", "traceConfig": config}
        )

    async def end(self) -> dict[str, float]:
        """Give the CPU of the main thread: of its longest task, of all, and of frames' parts."""
        await self._session.send("Tracing.end")
        await self._complete.wait()
        drawn = Counter((e["pid"], e["tid"]) for e in self._events if e.get("name") in FRAME)
        [(main, _)] = drawn.most_common(1)
        mine = [e for e in self._events if (e["pid"], e["tid"]) == main and "tdur" in e]
        tasks = [e["tdur"] for e in mine if e["name"] == TASK]
        parts = {name: sum(e["tdur"] for e in mine if e["name"] == name) for name in FRAME}
        return {
            "longest_ms": round(max(tasks, default=0) / 1000, 1),
            "long_tasks": sum(cost >= LONG_US for cost in tasks),
            "all_ms": round(sum(tasks) / 1000),
            **{f"{name}_ms": round(cost / 1000) for name, cost in parts.items()},
        }
