"""A start that is given up, a client that can't be stopped, an exit that waits for nobody."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from schemas.log.log_reader import stopped
from schemas.process.stopping import StoppedFirst, unless_stopped

HANGS = """
import asyncio
from schemas.process.stopping import Exit

async def waits_for_a_server():
    await asyncio.Event().wait()

async def closes_for_ever():
    Exit().within(0.1, 7)
    try:
        await asyncio.create_task(waits_for_a_server())
    finally:
        await asyncio.Event().wait()

asyncio.run(closes_for_ever())
"""


async def starts() -> str:
    return "started"


async def never_starts(let_go: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        let_go.append("let go")


async def fails() -> None:
    raise ValueError("no")


async def test_a_start_gives_what_it_gives() -> None:
    assert await unless_stopped(asyncio.Event().wait(), starts()) == "started"


async def test_a_start_that_fails_says_so() -> None:
    with pytest.raises(ValueError, match="no"):
        await unless_stopped(asyncio.Event().wait(), fails())


async def test_a_start_is_given_up_and_lets_go_of_what_it_holds() -> None:
    stop, let_go = asyncio.Event(), list[str]()
    asyncio.get_running_loop().call_soon(stop.set)
    with pytest.raises(StoppedFirst):
        await unless_stopped(stop.wait(), never_starts(let_go))
    assert let_go == ["let go"]


async def test_a_future_that_tells_of_the_stop_can_be_asked_again() -> None:
    stop = asyncio.get_running_loop().create_future()
    await unless_stopped(stop, starts())
    assert not stop.cancelled()
    stop.set_result(None)
    with pytest.raises(StoppedFirst):
        await unless_stopped(stop, never_starts([]))


class Client:
    """A consumer's stop, as it behaves while the broker is away."""

    def __init__(self, behaviour: Any) -> None:
        self.stop = behaviour


async def cancels_itself() -> None:
    """Seen with aiokafka: the stop waits for a fetch that it has cancelled, in its pause."""
    fetch = asyncio.create_task(asyncio.Event().wait())
    fetch.cancel()
    await fetch


@pytest.mark.parametrize("stop", [starts, fails, cancels_itself, lambda: never_starts([])])
async def test_whatever_a_client_does_when_it_is_stopped_is_not_raised(stop: Any) -> None:
    await stopped(Client(stop), limit_s=0.01)


def test_a_process_whose_close_hangs_ends_with_its_code_and_says_what_hung() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 7
    said = ended.stdout + ended.stderr
    assert "leaving without waiting any longer" in said
    assert "waits_for_a_server" in said
