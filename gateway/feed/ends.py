"""Where the log ends, asked now: one request to the broker for all who wait when it begins.

Who joins is promised everything from the end that was asked after it joined. A thousand clients
that join at once would otherwise ask a thousand times.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable

from schemas.log.log_reader import LogUnavailable

Ask = Callable[[Iterable[int]], Awaitable[dict[int, int]]]


class Ends:
    """Serves `end` while `run` runs; `ask` gives the ends of several shards."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: dict[int, list[asyncio.Future[int]]] = defaultdict(list)
        self._wake = asyncio.Event()

    async def end(self, shard: int) -> int:
        """Give the offset after the shard's last record, as of a moment after this call.

        Raises:
            LogUnavailable: the broker did not answer in time.
        """
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[shard].append(answer)
        self._wake.set()
        return await answer

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, defaultdict(list)
            try:
                ends = await self._ask(list(waiting))
            except LogUnavailable as error:
                for answer in _open(answer for answers in waiting.values() for answer in answers):
                    answer.set_exception(LogUnavailable(str(error)))
                continue
            for shard, answers in waiting.items():
                for answer in _open(answers):
                    answer.set_result(ends[shard])


def _open(answers: Iterable["asyncio.Future[int]"]) -> list["asyncio.Future[int]"]:
    """Give those that somebody still waits for."""
    return [answer for answer in answers if not answer.done()]
