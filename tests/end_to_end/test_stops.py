"""SIGTERM ends every service in time, with exit code 0, whatever does not answer it meanwhile.

A server that stands still is the worst of it: connections are taken, and nothing is ever said.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.ports import free_run
from schemas.events import decode_session_event
from schemas.topics import SESSION_LOG, shard_of
from schemas.transcript import Message, Outcome, Place, Transcript
from tests.end_to_end.reader import Reader
from tests.end_to_end.test_whole_path import rows_hold, urls
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import is_whole
from tests.service import environment_for, started
from tests.stack import RunningStack, running_stack
from tests.waiting import WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SERVICES = ("gateway-1", "worker-1", "persister-1")
GRACE_S = 2
GONE_WITHIN_S = GRACE_S + 30.0
"""Generous: what is tried is that there is an end, not when."""
BACK_WITHIN_S = 240.0
ANSWERS, TOKENS, HELD_AT, RATE = 6, 120, 110, 20
"""Tokens come while the services stop; the last ones only when the test lets them."""
SHARDS = 8


@pytest.fixture(scope="module")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One of every service; what ends stays dead."""
    folder = tmp_path_factory.mktemp("stops")
    with running_stack(
        folder,
        OPENAI_BASE_URL=model.url,
        TALKLOG_GRACE_S=str(GRACE_S),
        TALKLOG_IDLE_TIMEOUT_S="200",
        RESTART="0",
    ) as stack:
        yield stack


@pytest.mark.parametrize("how", ["hold", "kill"])
@pytest.mark.parametrize("server", ["kafka", "redis", "postgres"])
async def test_services_stop_in_time_without_a_server_and_what_ran_ends_once(
    stack: RunningStack, model: ModelControl, server: str, how: str
) -> None:
    """Six answers run meanwhile, and one person joins who waits for a snapshot."""
    model.reset()
    await back(stack, SERVICES)  # a broker that another test held may have ended one
    sessions = [f"{how}-{server}-{number}" for number in range(ANSWERS)]
    await running(stack, model, sessions)
    async with without(stack, server, how), joining(stack, sessions[0]):
        said_before = len(said(stack))
        for name in SERVICES:
            os.kill(stack.pid(name), signal.SIGTERM)
        await until(lambda: not any(map(stack.pid, SERVICES)), GONE_WITHIN_S, "all are gone")
        # The stack says so a moment later.
        await until(lambda: all(ends(stack, said_before).values()), WITHIN_S, "how all ended")
        assert ends(stack, said_before) == dict.fromkeys(SERVICES, "exit code 0")
    await back(stack, [server, *SERVICES])
    for session in sessions:
        await ends_once(stack, model, session)


async def running(stack: RunningStack, model: ModelControl, sessions: list[str]) -> None:
    """An answer in each of the sessions, in its middle."""
    async with contextlib.AsyncExitStack() as readers:
        for session in sessions:
            reader = await readers.enter_async_context(Reader(urls(stack)[0], session))
            orders = f"tokens={TOKENS} rate={RATE} fault=hold_after:{HELD_AT}"
            await reader.ask(f"go [[key={session} {orders}]]", "m0")
            await reader.until(partial(begun, reader))


def begun(reader: Reader) -> bool:
    """Whether some of the answer was read."""
    return bool(reader.message("m0").text)


@contextlib.asynccontextmanager
async def without(stack: RunningStack, server: str, how: str) -> AsyncIterator[None]:
    """The server stands still, or is dead; in the end it goes on, or can be started."""
    if how == "kill":
        stack.kill(server)
        await until(lambda: stack.state_of(server) == "dead", WITHIN_S, f"{server} is dead")
        yield
        return
    stack.hold(server)
    try:
        yield
    finally:
        stack.let_go(server)


@contextlib.asynccontextmanager
async def joining(stack: RunningStack, session: str) -> AsyncIterator[None]:
    """Somebody asks for the session meanwhile: the gateway reads for the snapshot."""
    joined = asyncio.create_task(Reader(urls(stack)[0], session).__aenter__())
    try:
        yield
    finally:
        joined.cancel()
        await asyncio.gather(joined, return_exceptions=True)


def said(stack: RunningStack) -> list[str]:
    """What the stack has said."""
    return (stack.state / "run.log").read_text().splitlines()


def ends(stack: RunningStack, said_before: int) -> dict[str, str]:
    """How each service ended, as the stack has said it since; empty if it has not yet."""
    since = said(stack)[said_before:]
    return {
        name: next(filter(None, (_end(name, line) for line in since[::-1])), "")
        for name in SERVICES
    }


def _end(name: str, line: str) -> str:
    found = re.match(rf"{name}: died \((.*?)\)", line)
    return found[1] if found else ""


async def back(stack: RunningStack, names: Sequence[str]) -> None:
    """Start what is dead, until all of it is ready.

    A worker does not wait for its broker: it is started again only when no server still starts.
    """
    states: dict[str, str] = {}

    def ready() -> bool:
        states.update((name, stack.state_of(name)) for name in names)
        servers_start = any(states[name] == "starting" for name in {*names} - {*SERVICES})
        if "dead" in states.values() and not servers_start:
            stack.start_dead()
        return set(states.values()) == {"ready"}

    await until(ready, BACK_WITHIN_S, lambda: f"all are back: {states}; {said(stack)[-40:]}")


async def ends_once(stack: RunningStack, model: ModelControl, session: str) -> None:
    """One terminal counts, in the log; its text is one call's, in the log and in the table."""
    async with Reader(urls(stack)[0], session) as reader:

        def none_held() -> bool:
            model.release()
            return over(reader)

        await until(none_held, WITHIN_S, f"{session} has ended")
    message, outcomes = await folded(stack, session)
    assert (message.state, outcomes[Outcome.ENDED]) == ("complete", 1)
    assert is_whole(message.text, session, TOKENS), message.text
    await rows_hold(stack, session, message.text)


def over(reader: Reader) -> bool:
    """Whether the message's end was told, live or by the snapshot."""
    ends = reader.of_type("ai_response_complete") + reader.of_type("error")
    shown = [each for snapshot in reader.of_type("snapshot") for each in snapshot["messages"]]
    ended = any("m0" in snapshot["ended"] for snapshot in reader.of_type("snapshot"))
    return ended or bool(ends) or any(each["state"] in ("complete", "error") for each in shown)


async def folded(stack: RunningStack, session: str) -> tuple[Message, Counter[Outcome]]:
    """The session's message as the log has it, and what counted of it."""
    shard = TopicPartition(SESSION_LOG, shard_of(session, SHARDS))
    transcript, outcomes = Transcript(), Counter[Outcome]()
    async with AIOKafkaConsumer(bootstrap_servers=stack.file.kafka) as consumer:
        consumer.assign([shard])
        consumer.seek(shard, 0)
        end = (await consumer.end_offsets([shard]))[shard]
        while await consumer.position(shard) < end:
            for raw in (await consumer.getmany(timeout_ms=500)).get(shard, []):
                event = decode_session_event(raw.value)
                if raw.key == session.encode() and event is not None:
                    outcomes[transcript.apply(event, Place(stack.epoch, raw.offset))] += 1
    return transcript.messages["m0"], outcomes


@pytest.mark.parametrize(
    ("service", "broker"),
    [
        *((service, "held") for service in ("gateway", "workers", "persister")),
        # A worker ends by itself when it is refused, and its supervisor tries again.
        *((service, "refused") for service in ("gateway", "persister")),
    ],
)
async def test_a_start_without_a_broker_can_be_stopped(
    stack: RunningStack, tmp_path: Path, service: str, broker: str
) -> None:
    await back(stack, SERVICES)
    address = stack.file.kafka if broker == "held" else f"127.0.0.1:{free_run(1)}"
    async with without(stack, "kafka", "hold"):
        with starting(service, stack, tmp_path, address) as process:
            await until(lambda: listens_to_sigterm(process.pid), WITHIN_S, f"{service} starts")
            process.terminate()
            assert await asyncio.to_thread(process.wait, GONE_WITHIN_S) == 0


@contextlib.contextmanager
def starting(
    service: str, stack: RunningStack, folder: Path, kafka: str
) -> Iterator["subprocess.Popen[bytes]"]:
    environment = environment_for(stack) | {
        "TALKLOG_KAFKA": kafka,
        "TALKLOG_PORT": "0",
        "TALKLOG_GRACE_S": str(GRACE_S),
    }
    with started([service], environment, folder / "service.log", stop_within_s=0.0) as process:
        yield process


def listens_to_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own by now: before that the signal just ends it."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
