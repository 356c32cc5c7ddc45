"""Holds everybody to the limits, over all gateways while Redis answers, else each gateway its own.

What Redis keeps is one hash for each session, user and address (`limits.lua`), so one who comes
costs one question for each, and who is idle costs none. A gateway writes there how many sockets it
has itself, and says every BEAT_S that it lives: what one that died had counts no more. Its own
count it knows without Redis, and that alone is refused beyond the limit too.

With Redis away nobody is refused for it, and nobody is unlimited: rates and open sockets are kept
here, each gateway its own. Only what no gateway can know alone is not held then: what of a user
runs, and what he has spent. That is told once, and counted (`limits_local`).
"""

import asyncio
import json
import secrets
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

import structlog

from gateway.counters import Counters
from gateway.limits.counts import LIMIT_OF, Counts, Subject, subjects
from gateway.limits.rates import Rates
from gateway.limits.rules import CONNECTION_RETRY_MS, RUNNING_RETRY_MS, LimitName, Over, Who
from gateway.limits.settings import LimitSettings
from gateway.redis_client import RedisClient
from schemas import redis_keys

log = structlog.get_logger(__name__)

BEAT_S = 2.0
LEASE_MS = 6_000
WRITTEN_AT_ONCE = 500
ASKED_AGAIN_S = 0.2
TOLD_MAX = 100

Check = dict[str, Any]
Checks = Sequence[tuple[LimitName, Check]]
Met = Over | Literal[False] | None


class Limiter:
    """Of one gateway. `run` says that it lives, and writes what has changed."""

    def __init__(self, settings: LimitSettings, redis: RedisClient, counters: Counters) -> None:
        self._settings = settings
        self._redis = redis
        self._counters = counters
        self._gateway, self._former = secrets.token_hex(8), ""
        self._alive: Sequence[str] = ()
        """The gateways that live; none: that is not known now, and all are taken to."""
        self._counts = Counts()
        self._unwritten: dict[Subject, None] = {}
        self._changed, self._writing = asyncio.Event(), asyncio.Lock()
        self._limits = redis.script("gateway.limits", "limits.lua")
        self._present = redis.script("gateway.limits", "present.lua")
        self._user_messages = Rates(settings.user_messages_per_minute)
        self._address_messages = Rates(settings.address_messages_per_minute)
        self._address_reads = Rates(settings.address_reads_per_minute)
        self._address_scans = Rates(settings.address_reads_per_minute)
        self._told: set[tuple[str, str]] = set()

    # -- sockets

    def crowded(self, address: str | None) -> Over | None:
        """Say that an address has too many sockets here: before anything is done for one more."""
        subject = ("address", address or "")
        return None if address is None else self._own_over(subject, self._counts.of(subject) + 1)

    async def enter(self, who: Who) -> Over | None:
        """Count a socket, or say which limit is met: then it is not counted."""
        self._counts.add(who)
        try:
            over = await self._entered(who)
        except BaseException:
            self.leave(who)
            raise
        if over is not None:
            self.leave(who)
            self.tell(over, who)
        return over

    def leave(self, who: Who) -> None:
        """Count a socket no more."""
        self._counts.remove(who)
        self._correct(*subjects(who))

    async def _entered(self, who: Who) -> Over | None:
        for subject in subjects(who):
            if over := self._own_over(subject, self._counts.of(subject)):
                return over
        return await self._shared_over(list(subjects(who)))

    def _own_over(self, subject: Subject, count: int) -> Over | None:
        most = self._most(subject)
        over = 0 < most < count
        return Over(LIMIT_OF[subject[0]], most, CONNECTION_RETRY_MS) if over else None

    async def _shared_over(self, of: Sequence[Subject]) -> Over | None:
        asked = [(each, [self._count(each)]) for each in of if self._most(each)]
        answers = await self._asked_each(asked)
        settled = map(self._settled, asked, answers)
        return next((over for over in await asyncio.gather(*settled) if over), None)

    async def _settled(self, asked: tuple[Subject, Checks], met: Met) -> Met:
        subject, [(_, check)] = asked
        if met:  # who has left another gateway a moment ago may be counted there still
            await asyncio.sleep(ASKED_AGAIN_S)
            check["count"] = self._counts.of(subject)
            met = await self._asked(*asked)
        overtaken = self._counts.of(subject) != check["count"] or self._writing.locked()
        if overtaken or met is None:
            self._correct(subject)  # what is written may be old, or Redis is away
        return met

    def _most(self, subject: Subject) -> int:
        most: int = getattr(self._settings, LIMIT_OF[subject[0]])
        return most

    def _count(self, subject: Subject) -> tuple[LimitName, Check]:
        return LIMIT_OF[subject[0]], {
            "check": "count",
            "gateway": self._gateway,
            "count": self._counts.of(subject),
            "most": self._most(subject),
            "alive": list(self._alive),
        }

    # -- messages

    async def message(self, who: Who, message_id: str) -> Over | None:
        """Count a message, or say which limit is met."""
        over = await self._message_of_address(who) or await self._message_of_user(who, message_id)
        if over is not None:
            self.tell(over, who)
        return over

    async def _message_of_address(self, who: Who) -> Over | None:
        most = self._settings.address_messages_per_minute
        if who.address is None or not most:
            return None
        limit: LimitName = "address_messages_per_minute"
        met = await self._asked(("address", who.address), [(limit, _minute(most))])
        if met is None:
            return self._taken(limit, self._address_messages, who.address)
        return met or None

    async def _message_of_user(self, who: Who, message_id: str) -> Over | None:
        if who.user is None:
            return None
        of, checks = self._settings, list[tuple[LimitName, Check]]()
        if of.user_tokens_per_day:
            checks.append(
                ("user_tokens_per_day", {"check": "spent", "most": of.user_tokens_per_day})
            )
        if of.user_messages_per_minute:
            checks.append(("user_messages_per_minute", _minute(of.user_messages_per_minute)))
        if of.user_running:
            member = redis_keys.open_message(who.session_id, message_id)
            lives_ms = redis_keys.OPEN_LIVES_S * 1000
            check = {"check": "open", "member": member, "most": of.user_running}
            checks.append(("user_running", check | {"lives_ms": lives_ms}))
        met = await self._asked(("user", who.user), checks) if checks else False
        limit: LimitName = "user_messages_per_minute"
        if met is None:
            return self._taken(limit, self._user_messages, who.user)
        return met or None

    # -- reads

    def read(self, who: Who) -> Over | None:
        """Count what must be read for an address, or say that it was enough for now.

        It is this gateway's memory and time that is spent, so each keeps its own count.
        """
        return self._of_address(who, self._address_reads, 1)

    def may_scan(self, who: Who, cost: int) -> bool:
        """Count a scan of the log that costs as much as so many snapshots; False: too many lately.

        Scans have as much a minute as all other reads, and take nothing of theirs: who may have
        none is given a snapshot.
        """
        return self._of_address(who, self._address_scans, cost) is None

    def _of_address(self, who: Who, rates: Rates, cost: int) -> Over | None:
        if who.address is None:
            return None
        over = self._taken("address_reads_per_minute", rates, who.address, cost)
        if over is not None:
            self.tell(over, who)
        return over

    # -- Redis

    async def run(self) -> None:
        """Say that this gateway lives, and write what has changed. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_on())
            while True:
                await self.beat()
                await asyncio.sleep(BEAT_S)

    async def _write_on(self) -> None:
        """Write at once what has changed: what changes meanwhile is the next to be written."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._write()

    def _correct(self, *wrong: Subject) -> None:
        self._unwritten.update(dict.fromkeys(wrong))
        self._changed.set()

    async def beat(self) -> None:
        """Say that this gateway lives, hear of the others, and write what has changed."""
        said: list[str | int] = [self._gateway, LEASE_MS, self._former]
        answer = await self._present([redis_keys.gateways()], said)
        if not isinstance(answer, list):
            self._take_another_name()
            return
        believed, *alive = answer
        self._alive, self._former = [each.decode() for each in alive], ""
        if not believed:  # what it had written is gone, or taken for that of one that died
            self._unwritten.update(dict.fromkeys(self._counts.all()))
        await self._write()

    async def _write(self) -> None:
        async with self._writing:  # else an older number could overtake a newer one
            await self._write_all()

    async def _write_all(self) -> None:
        while self._unwritten:
            part = list(islice(self._unwritten, WRITTEN_AT_ONCE))
            for subject in part:
                del self._unwritten[subject]
            values = [(redis_keys.limits(*each), self._counts.of(each)) for each in part]
            field = redis_keys.connections_at(self._gateway)
            if not await self._redis.set_fields(field, values, redis_keys.LIMITS_LIVE_S):
                self._take_another_name()
                return

    def _take_another_name(self) -> None:
        """Give up what is written under the name of before, for it can't be kept up to date.

        So nothing need be remembered of those who leave while Redis is away.
        """
        self._alive = ()
        self._unwritten.clear()
        if not self._former:
            self._gateway, self._former = secrets.token_hex(8), self._gateway

    async def _asked(self, subject: Subject, checks: Checks) -> Met:
        """Give which limit is met, False if none is; None: Redis is away."""
        return (await self._asked_each([(subject, checks)]))[0]

    async def _asked_each(self, asked: Sequence[tuple[Subject, Checks]]) -> list[Met]:
        """Ask for several at once; each is judged by itself."""
        answers = await self._limits.for_each(
            [
                (
                    [redis_keys.limits(*subject)],
                    [json.dumps([check for _, check in checks]), redis_keys.LIMITS_LIVE_S],
                )
                for subject, checks in asked
            ]
        )
        return [
            self._met(answer, checks) for answer, (_, checks) in zip(answers, asked, strict=True)
        ]

    def _met(self, answer: object, checks: Checks) -> Met:
        if not isinstance(answer, list):
            self._counters.limits_local += 1
            return None
        met, wait_ms = answer
        if not met:
            return False
        limit, check = checks[met - 1]
        otherwise_ms = RUNNING_RETRY_MS if limit == "user_running" else CONNECTION_RETRY_MS
        return Over(limit, check["most"], int(wait_ms) or otherwise_ms)

    def _taken(self, limit: LimitName, rates: Rates, who: str, cost: int = 1) -> Over | None:
        wait_ms = rates.take(who, asyncio.get_running_loop().time(), cost)
        return Over(limit, getattr(self._settings, limit), wait_ms) if wait_ms else None

    # -- told

    def tell(self, over: Over, who: Who) -> None:
        """Count that a limit was met, and log the first of each limit and address."""
        self._counters.count_limited(over.limit)
        news = (over.limit, who.address or "")
        if news not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(news)
            log.warning(
                "a limit is met: told once (is it a proxy's address? TALKLOG_TRUSTED_PROXIES)"
                if "address" in over.limit
                else "a limit is met: told once",
                limit=over.limit,
                value=over.value,
                client=who.address,
            )


def _minute(most: int) -> Check:
    return {"check": "rate", "field": "messages", "most": most, "per_ms": 60_000}
