"""A message that kills whoever asks the model for it: it must end, and its neighbours must live."""

import asyncio
import json

from tests.end_to_end.reader import Reader
from tests.faults.field import Fault, Field, NoBite
from tests.faults.kinds import worker_pid
from tests.faults.talker import Told
from tests.stack import talklog

NEIGHBOURS_MIN = 50
STARTS_MAX = 3
NEIGHBOUR_STARTS_MAX = 2
ENDS_WITHIN_S = 180.0
POLL_S = 0.02


async def poison(field: Field) -> str:
    """The model hangs at its call, and the worker that made the call is killed, each time."""
    session = f"poison-{field.shape.seed}-{field.chance.randrange(1 << 30)}"
    async with Reader(field.gateways()[0], session) as reader:
        await reader.ask(f"go [[key={session} tokens=5 fault=hang_headers]]", session)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                neighbours = await _kill_whoever_asks(field, reader)
        except TimeoutError:
            raise AssertionError(f"no end after {ENDS_WITHIN_S:g} s: {session}") from None
        error = reader.message(session).error
    assert error is not None
    assert error.code == "retries_exhausted", error
    assert field.model.state()["by_key"][session] == STARTS_MAX
    await _has_a_dead_letter(field, session)
    return await _lived(field, neighbours)


async def _kill_whoever_asks(field: Field, reader: Reader) -> dict[str, Told]:
    """Kill -9 the caller of each call; give who ran beside it. Ends with the message."""
    session = reader.session_id
    neighbours: dict[str, Told] = {}
    mute: set[str] = set()
    kills = 0
    while True:
        message = reader.message(session)
        calls = (await asyncio.to_thread(field.model.state))["by_key"].get(session, 0)
        if message.terminal:
            return neighbours
        # Its reader is told of the start a moment later; who made the call is known only then.
        if calls > kills and message.starts > kills:
            # What has not spoken yet can't be told from a culprit, and may begin a third time.
            mute.update(each.key for each in field.running() if not each.sequence)
            running = [each for each in field.running() if each.key not in mute]
            if not kills and len(running) < NEIGHBOURS_MIN:
                raise NoBite(f"{len(running)} neighbours ran at the first kill")
            neighbours.update((each.key, each) for each in running)
            field.stack.kill_pid(worker_pid(message.worker))
            kills += 1
        await asyncio.sleep(POLL_S)


async def _has_a_dead_letter(field: Field, session: str) -> None:
    done = await asyncio.to_thread(
        talklog, field.stack, "dead-letters", "list", "--reason", "retries_exhausted",
        "--format", "json",
    )  # fmt: skip
    letters = [json.loads(line) for line in done.stdout.splitlines()]
    assert any(session in json.dumps(each) for each in letters), letters


async def _lived(field: Field, neighbours: dict[str, Told]) -> str:
    told = list(neighbours.values())
    await field.until(lambda: all(each.over for each in told), ENDS_WITHIN_S, "neighbours end")
    starts = {
        each.key: message.starts
        for each in told
        if (message := field.watch.message(each.session_id, each.key))
    }
    failed = {each.key: each.error for each in told if each.state != "complete"}
    often = {key: count for key, count in starts.items() if count > NEIGHBOUR_STARTS_MAX}
    assert not failed, f"neighbours ended in error: {failed}"
    assert not often, f"neighbours began so often: {often}"
    twice = sum(count == NEIGHBOUR_STARTS_MAX for count in starts.values())
    if not twice:
        raise NoBite(f"none of {len(told)} neighbours ran beside it")
    return f"retries_exhausted, a dead letter; {twice} of {len(told)} neighbours began twice"


POISON = (Fault("poison message", poison),)
