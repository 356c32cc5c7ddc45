"""What each witness says of every message that was asked: its reader, the log, the tables.

Also what `talklog verify` says of the log and the tables as they are at the end.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from tests.faults.talker import Talker, Told
from tests.faults.verdict import Answer, Case
from tests.faults.watch import Watch
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack, talklog

STORED_WITHIN_S = 120.0
POLL_S = 0.1
VERIFY_WITHIN_S = 600.0

Table = Mapping[tuple[str, str], Answer]


@dataclass(frozen=True, slots=True)
class Settled:
    """All is answered and stored: the cases by the messages' keys, and the word of `verify`."""

    cases: dict[str, Case]
    verified: bool
    verify_said: str


async def settle(
    stack: RunningStack, watch: Watch, model: ModelControl, talkers: Sequence[Talker]
) -> Settled:
    """Wait until the log has been read and stored to its end, and hear every witness."""
    async with asyncio.timeout(STORED_WITHIN_S):
        while not await watch.caught_up():  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(POLL_S)
    await _stored(stack)
    table = await asyncio.to_thread(_table, stack.file.postgres)
    calls = model.state()["by_key"]
    cases = {told.key: _case(told, watch, table, calls) for each in talkers for told in each.told}
    done = await asyncio.to_thread(talklog, stack, "verify", check=False, within_s=VERIFY_WITHIN_S)
    return Settled(cases, done.returncode == 0, done.stdout + done.stderr)


async def _stored(stack: RunningStack) -> None:
    """Wait until the persisters have stored the log to its end: their lag is 0."""
    deadline = asyncio.get_running_loop().time() + STORED_WITHIN_S
    while True:
        done = await asyncio.to_thread(talklog, stack, "lag", "--format", "json", check=False)
        if done.returncode == 0 and _behind(done.stdout) == 0:
            return
        late = asyncio.get_running_loop().time() > deadline
        assert not late, f"the lag is not 0: {done.stdout}{done.stderr}"
        await asyncio.sleep(0.5)


def _behind(output: str) -> int:
    """How many records no reader has stored, or a number over 0 if that is not known."""
    said = json.loads(output or "{}")
    parts = said.get("partitions", [])
    return sum(each["records"] for each in parts) if parts and not said["notes"] else 1


def _table(postgres: str) -> Table:
    texts: dict[tuple[str, str], str] = {}
    with psycopg.connect(postgres, connect_timeout=5, autocommit=True) as link:
        for session, message, content in link.execute(
            "SELECT session_id, message_id, content FROM streaming_messages"
            " ORDER BY session_id, chunk_sequence, id"
        ):
            texts[session, message] = texts.get((session, message), "") + content
        return {
            (session, message): Answer(state, texts.get((session, message), ""), reason or "")
            for session, message, state, reason in link.execute(
                "SELECT session_id, message_id, state, finish_reason FROM answers"
            )
        }


def _case(told: Told, watch: Watch, table: Table, calls: Mapping[str, int]) -> Case:
    said = watch.message(told.session_id, told.key)
    log = said and Answer(said.state, said.text, said.finish_reason or "")
    return Case(
        told.key,
        told.tokens,
        told.accepted,
        Answer(told.state, told.text, told.finish_reason),
        log or None,
        table.get((told.session_id, told.key)),
        told.repeats,
        told.gaps,
        calls.get(told.key, 0),
        said.starts if said else 0,
        told.shrunk,
    )
