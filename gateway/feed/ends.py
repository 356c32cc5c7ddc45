"""Where the log ends, asked now: one request a shard, for all who wait when it begins.

Who joins is promised everything from the end that was asked after it joined. A thousand clients
that join a shard at once would otherwise ask a thousand times. Each shard is asked by itself,
because one request for several fails as a whole: a partition without a leader would take the others
along.
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
        self._asked: set[int] = set()
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
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for shard in [each for each in self._waiting if each not in self._asked]:
                    self._asked.add(shard)
                    tasks.create_task(self._serve(shard))

    async def _serve(self, shard: int) -> None:
        """Ask for one shard, again and again while somebody waits for it."""
        try:
            while waiting := self._waiting.pop(shard, None):
                try:
                    end = (await self._ask([shard]))[shard]
                except LogUnavailable as error:
                    for answer in _open(waiting):
                        answer.set_exception(LogUnavailable(str(error)))
                else:
                    for answer in _open(waiting):
                        answer.set_result(end)
        finally:
            self._asked.discard(shard)


async def each_by_itself(
    ask: Ask,
    shards: Iterable[int],
    doubtful: Iterable[int],
    tell: Callable[[dict[int, int]], None] = lambda _: None,
) -> dict[int, int]:
    """Ask for many shards, give what is answered; `tell` is told each answer at once.

    One request for all that are not `doubtful`, and one for each of the others beside it; if the
    large one fails, one for each of its shards. So a shard without a leader costs one time-out when
    it is new, and the others nothing.
    """
    found: dict[int, int] = {}

    async def answers(asked: list[int]) -> bool:
        try:
            part = await ask(asked) if asked else {}
        except LogUnavailable:
            return False
        found.update(part)
        tell(part)
        return True

    doubtful = set(doubtful)
    sound = [shard for shard in shards if shard not in doubtful]
    asked = [sound, *([shard] for shard in sorted(doubtful))]
    answered = await asyncio.gather(*map(answers, asked))
    if not answered[0]:
        await asyncio.gather(*(answers([shard]) for shard in sound))
    return found


def _open(answers: Iterable["asyncio.Future[int]"]) -> list["asyncio.Future[int]"]:
    """Give those that somebody still waits for."""
    return [answer for answer in answers if not answer.done()]
