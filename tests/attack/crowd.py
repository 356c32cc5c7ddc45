"""All who mean harm, in a process of their own: told whom to attack, tells what it was told.

    async with crowd(target, foes=100, seed=7) as tally:
        await tally.until(tally.all_met, 60)

`python -m tests.attack.crowd` reads its orders as a line of JSON, writes its tally as one every
half a second, and ends at SIGTERM. A limit is met by an address and by a user: all of a kind share
the address, each has a user.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from deploy.local.program import wrapped
from tests.attack.doors import DOORS
from tests.attack.floods import FLOODS
from tests.attack.foe import Attack, Foe, Target, closed, refused
from tests.attack.joins import JOINS
from tests.people import Person, address
from tests.waiting import Changes

KINDS: tuple[type[Attack], ...] = (*DOORS, *FLOODS, *JOINS)
TOLD_EVERY_S = 0.5
ENDS_WITHIN_S = 20.0
NICE = 10
LINE_MAX_BYTES = 1 << 20
CUT = (OSError, EOFError, InvalidHandshake, InvalidMessage)
NEVER = ("HTTP 5", "close 1011", "close 1003", "close 1002")
"""What a gateway that fails itself says."""

Told = dict[str, dict[str, int]]


class Tally:
    """What each kind has been told so far."""

    def __init__(self) -> None:
        self.told: Told = {kind.name: {} for kind in KINDS}
        self.cpu_s = 0.0
        self.over = False
        """They have been told to stop."""
        self._changes = Changes()

    def take(self, line: bytes) -> None:
        """Read what the crowd tells."""
        said = json.loads(line)
        self.told, self.cpu_s = said["told"], said["cpu_s"]
        self._changes.tell()

    def unmet(self) -> list[str]:
        """Name the kinds that have not been refused or ended yet as is promised."""
        return [kind.name for kind in KINDS if not kind.ends & self.told[kind.name].keys()]

    def failures(self) -> list[str]:
        """Give what no gateway should have said."""
        return [
            f"{name}: {words}, {count} times"
            for name, told in self.told.items()
            for words, count in told.items()
            if words.startswith(NEVER)
        ]

    async def until(self, condition: Callable[[], object], within_s: float) -> None:
        """Wait until it is true."""
        await self._changes.until(condition, within_s, lambda: f"{self.unmet()}: {self.told}")


def heard(tally: Tally) -> str:
    """Give a table: each kind, how it tried, what it was told and how often."""
    lines = ["| attack | tried | seen (how often) |", "|---|---|---|"]
    for kind in KINDS:
        told = sorted(tally.told[kind.name].items(), key=lambda each: -each[1])
        words = ", ".join(f"{what} ({count:,})" for what, count in told)
        lines.append(f"| {kind.name} | {kind.tried} | {words} |")
    return "\n".join(lines)


@asynccontextmanager
async def crowd(
    target: Target, foes: int, seed: int, *, aside: bool = False
) -> AsyncIterator[Tally]:
    """Attack until the block ends, with so many; the tally is complete then.

    `aside`: only with the CPU that nobody else wants, as if they had machines of their own.
    """
    process = await asyncio.create_subprocess_exec(
        *wrapped(
            [sys.executable, "-m", "tests.attack.crowd"], uid=None, death_signal=signal.SIGKILL
        ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_MAX_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders = {"target": asdict(target), "foes": foes, "seed": seed, "aside": aside}
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    tally = Tally()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_hear(process.stdout, tally))
        try:
            yield tally
        finally:
            tally.over = True
            await _end(process)


async def _hear(stdout: asyncio.StreamReader, tally: Tally) -> None:
    async for line in stdout:
        tally.take(line)
    assert tally.over, "the attackers' process has ended by itself"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
    assert process.returncode == 0, f"the attackers' process has ended with {process.returncode}"


# -- in the process


async def _attack(target: Target, foes: int, seed: int) -> None:
    told = {kind.name: Counter[str]() for kind in KINDS}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as tasks:
        harm = [
            tasks.create_task(_go_on(KINDS[at](), foe, number))
            for at, foe in _all_foes(target, foes, seed, told)
            for number in range(KINDS[at].at_once)
        ]
        while not stop.is_set():
            _print(told)
            with suppress(TimeoutError):
                async with asyncio.timeout(TOLD_EVERY_S):
                    await stop.wait()
        for each in harm:
            each.cancel()
    _print(told)


def _all_foes(
    target: Target, foes: int, seed: int, told: dict[str, Counter[str]]
) -> list[tuple[int, Foe]]:
    """Give as many as are wanted, at least one of each kind, with the kind's number."""
    found = []
    for number in range(max(foes, len(KINDS))):
        turn, at = divmod(number, len(KINDS))
        person = Person(f"foe{at:02}x{turn:03}", address(1, at))
        chance = random.Random(f"{seed} {number}")
        found.append((at, Foe(target, person, chance, told[KINDS[at].name])))
    return found


async def _go_on(attack: Attack, foe: Foe, number: int) -> None:
    task = asyncio.current_task()
    while task is not None and not task.cancelling():
        await asyncio.sleep(foe.chance.uniform(0, 2 * attack.pause_s))
        try:
            await attack.once(foe, number)
        except* Exception as group:
            foe.tell(_ended(group))


def _ended(group: BaseExceptionGroup[Exception]) -> str:
    """Say how it ended: by the word of the gateway, if it had one."""
    errors = list(_leaves(group))
    for error in errors:
        if isinstance(error, InvalidStatus):
            return refused(error)
        if isinstance(error, ConnectionClosed):
            return closed(error)
    if any(isinstance(error, TimeoutError) for error in errors):
        return "no answer in time"
    if all(isinstance(error, CUT) for error in errors):
        return "cut"
    # The libraries of an attacker may fail at what is done to them: he goes on all the same.
    return f"his own {type(errors[0]).__name__}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _print(told: dict[str, Counter[str]]) -> None:
    times = os.times()
    said = {"told": told, "cpu_s": times.user + times.system}
    print(json.dumps(said), flush=True)


def main() -> None:
    """Attack until SIGTERM."""
    orders = json.loads(sys.stdin.readline())
    if orders["aside"]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(NICE)
    asyncio.run(_attack(Target(**orders["target"]), orders["foes"], orders["seed"]))


if __name__ == "__main__":
    main()
