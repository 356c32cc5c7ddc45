"""A message that kills whoever asks the model for it: it must end, and its neighbours must live.

Nothing here rests on the machine's pace. Who ran beside it loses no word: that is read from what
its readers were shown; and the log tells, by its own clock, whether each start of it was due: the
worker of the attempt before was killed, or had released it, or nothing came of it for the silence.
"""

import asyncio
import json

from schemas.limits import MUTE_DEATHS_MAX, SILENCE_S
from tests.end_to_end.reader import Reader
from tests.faults.field import Fault, Field, NoBite
from tests.faults.kinds import worker_pid
from tests.faults.talker import Told
from tests.stack import talklog
from workers.intake.continuing import MUTE_DEATHS_ANEW

NEIGHBOURS_MIN = 50
ENDS_WITHIN_S = 180.0
POLL_S = 0.02
CLOCK_S = 0.5
"""The silence is judged by a clock that is known from acknowledgements only."""


async def poison(field: Field) -> str:
    """The model hangs at its call, and the worker that made the call is killed, each time."""
    session = f"poison-{field.shape.seed}-{field.chance.randrange(1 << 30)}"
    killed: set[str] = set()
    async with Reader(field.gateways()[0], session) as reader:
        await reader.ask(f"go [[key={session} tokens=5 fault=hang_headers]]", session)
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                neighbours = await _kill_whoever_asks(field, reader, killed)
        except TimeoutError:
            raise AssertionError(f"no end after {ENDS_WITHIN_S:g} s: {session}") from None
        error = reader.message(session).error
    assert error is not None
    assert error.code == "retries_exhausted", error
    # One that was killed only when it had given a sign of life does not count as dying of itself.
    late = sum(not each.mute for each in field.watch.takeovers[session])
    assert field.model.state()["by_key"][session] - late == MUTE_DEATHS_MAX
    await _has_a_dead_letter(field, session)
    return await _lived(field, neighbours, killed)


async def _kill_whoever_asks(field: Field, reader: Reader, killed: set[str]) -> dict[str, Told]:
    """Kill -9 the caller of each call; give who ran beside it. Ends with the message."""
    session = reader.session_id
    neighbours: dict[str, Told] = {}
    kills = 0
    while True:
        message = reader.message(session)
        calls = (await asyncio.to_thread(field.model.state))["by_key"].get(session, 0)
        if message.terminal:
            return neighbours
        # Its reader is told of the start a moment later; who made the call is known only then.
        if calls > kills and message.starts > kills and message.worker:
            # What has not spoken yet can't be told from a culprit.
            running = [each for each in field.running() if each.text]
            if not kills and len(running) < NEIGHBOURS_MIN:
                raise NoBite(f"{len(running)} neighbours ran at the first kill")
            neighbours.update((each.key, each) for each in running)
            killed.add(message.worker)
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


async def _lived(field: Field, neighbours: dict[str, Told], killed: set[str]) -> str:
    told = list(neighbours.values())
    await field.until(lambda: all(each.over for each in told), ENDS_WITHIN_S, "neighbours end")
    failed = {each.key: each.error for each in told if each.state != "complete"}
    assert not failed, f"neighbours ended in error: {failed}"
    anew = {
        each.key: (each.begun_anew, each.shrunk, field.watch.takeovers[each.key])
        for each in told
        if (each.begun_anew or each.shrunk) and not _is_accused(field, each, killed)
    }
    assert not anew, f"neighbours lost what they had said: {anew}"
    for each in told:
        takeovers = field.watch.takeovers[each.key]
        of_the_killed = [one.worker for one in takeovers if one.worker in killed]
        assert len(set(of_the_killed)) == len(of_the_killed), f"{each.key}: {takeovers}"
        undue = [
            one
            for one in takeovers
            if one.worker not in killed and not one.released and one.silent_s < SILENCE_S - CLOCK_S
        ]
        assert not undue, f"{each.key} was started again for nothing: {takeovers}"
    beside = sum(one.worker in killed for each in told for one in field.watch.takeovers[each.key])
    if not beside:
        raise NoBite(f"none of {len(told)} neighbours ran beside it")
    went_on = sum(each.went_on > 0 for each in told)
    return f"retries_exhausted, a dead letter; {went_on} of {len(told)} neighbours went on"


def _is_accused(field: Field, told: Told, killed: set[str]) -> bool:
    """Whether it went on beside the message twice and died in its first moments, both times.

    Then it can't be told from the culprit: perhaps it is its text that kills, so that is tried
    anew. It has to end well all the same.
    """
    takeovers = field.watch.takeovers[told.key]
    died = sum(one.mute and one.worker in killed for one in takeovers)
    return died >= MUTE_DEATHS_ANEW


POISON = (Fault("poison message", poison),)
