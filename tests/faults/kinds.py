"""What can happen to processes, servers and the model, each with the proof that it bit."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import process_list
from schemas.topics import SESSION_LOG
from tests.faults.field import Fault, Field, NoBite, Strike

HELD_S = 15.0
"""Longer than the group's session (6 s) and the silence (5 s) after which another takes over."""
GATEWAY_HELD_S = 40.0
DISK_FULL_S = 5.0
MODEL_FAULT_S = 6.0
MET_AT_LEAST = 5
CALLS_AT_LEAST = 10
MET_WITHIN_S = 40.0
MODEL_ENDS_WITHIN_S = 90.0
FENCED_WITHIN_S = 60.0
RESTARTED_WITHIN_S = 60.0
TRANSACTION_TRIES = 400
STANDS_STILL_S = 0.3


def killed(kind: str) -> Strike:
    """kill -9 of one process of the kind; the supervisor starts it again."""

    async def strike(field: Field) -> str:
        name, busy = _a_busy(field, kind)
        await kill_and_wait(field, name)
        return f"{name} killed, {busy}"

    return strike


async def kill_and_wait(field: Field, name: str) -> None:
    """kill -9, and wait until the supervisor has started it again and it is ready."""
    pid = field.stack.pid(name)
    field.stack.kill(name)
    await _started_again(field, name, pid)


async def restart_and_wait(field: Field, name: str) -> None:
    """SIGTERM, and wait until the supervisor has started it again and it is ready."""
    pid = field.stack.pid(name)
    os.kill(pid, signal.SIGTERM)
    await _started_again(field, name, pid)


async def worker_held(field: Field) -> str:
    """SIGSTOP, SIGCONT: it wakes as a zombie, and what it writes then is in the log, unheard."""
    name, busy = _a_busy(field, "worker")
    field.stack.hold(name)
    try:
        await asyncio.sleep(HELD_S)
    finally:
        before = field.watch.unheard
        field.stack.let_go(name)
    with contextlib.suppress(AssertionError):
        await field.until(lambda: field.watch.unheard > before, FENCED_WITHIN_S, "a fenced record")
    if field.watch.unheard == before:
        raise NoBite(f"{name} woke after {HELD_S:g} s ({busy}) and wrote nothing")
    return f"{name} stopped for {HELD_S:g} s, {busy}; then it wrote, and nobody listened"


async def gateway_held(field: Field) -> str:
    """SIGSTOP for longer than clients wait for a word; SIGCONT when they have gone elsewhere."""
    name, busy = _a_busy(field, "gateway")
    before = _reconnects(field)
    field.stack.hold(name)
    try:
        await asyncio.sleep(GATEWAY_HELD_S)
        left = _reconnects(field) - before
    finally:
        field.stack.let_go(name)
    if left < MET_AT_LEAST:
        raise NoBite(f"{name} was stopped for {GATEWAY_HELD_S:g} s, {left} people noticed")
    return f"{name} stopped for {GATEWAY_HELD_S:g} s, {busy}; {left} went to another"


def _reconnects(field: Field) -> int:
    return sum(each.counts["reconnects"] for each in field.talkers)


def held(kind: str) -> Strike:
    """SIGSTOP, SIGCONT of a busy one; chat goes on meanwhile, so that there is somebody to miss it.

    Only the gateway that is held may have had everybody on it.
    """

    async def strike(field: Field) -> str:
        name, busy = _a_busy(field, kind)
        before = sum(len(each.told) for each in field.talkers)
        field.stack.hold(name)
        try:
            await asyncio.sleep(HELD_S)
            status = psutil.Process(field.stack.pid(name)).status()
        finally:
            field.stack.let_go(name)
        asked = sum(len(each.told) for each in field.talkers) - before
        if status != psutil.STATUS_STOPPED or (asked < MET_AT_LEAST and kind != "gateway"):
            raise NoBite(f"{name} was {status}, {asked} messages were asked meanwhile")
        return f"{name} stopped for {HELD_S:g} s, {busy}, {asked} messages asked meanwhile"

    return strike


def _a_busy(field: Field, kind: str) -> tuple[str, str]:
    """Choose a process of the kind that has something to do, and say what; NoBite if none has."""
    names = field.names(kind)
    field.chance.shuffle(names)
    for name in names:
        if busy := _busy(field, name):
            return name, busy
    raise NoBite(f"no {kind} had anything to do")


def _busy(field: Field, name: str) -> str:
    """What the process is doing; empty if it is idle."""
    if name.startswith("gateway"):
        address = next(e.address for e in process_list.read(field.stack.state) if e.name == name)
        people = sum(each.address == address and each.now is not None for each in field.talkers)
        return f"{people} people on it" if people >= MET_AT_LEAST else ""
    if name.startswith("worker"):
        ours = sum(
            (message := field.watch.message(told.session_id, told.key)) is not None
            and worker_pid(message.worker) == field.stack.pid(name)
            for told in field.running()
        )
        return f"{ours} of {len(field.running())} answers on it" if ours >= MET_AT_LEAST else ""
    return f"{len(field.running())} answers running"


def worker_pid(worker: str | None) -> int:
    """The process that the log names as an answer's runner; 0: none."""
    digits = (worker or "").rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0


async def _started_again(field: Field, name: str, pid: int) -> None:
    def another() -> bool:
        now = field.stack.pid(name)
        return now not in (0, pid) and field.stack.state_of(name) == "ready"

    await field.until(another, RESTARTED_WITHIN_S, f"{name} has been started again")


# -- persisters


def in_transaction(what: str, *, kill: bool) -> Strike:
    """Stop a persister inside its transaction, seen in pg_stat_activity; kill it or let it go."""

    async def strike(field: Field) -> str:
        for _ in range(TRANSACTION_TRIES):
            name = field.chance.choice(field.names("persister"))
            pid = field.stack.pid(name)
            if not pid:
                await asyncio.sleep(0.2)
                continue
            field.stack.hold(name)
            if state := await _transaction_of_the_stopped(field):
                if kill:
                    field.stack.kill(name)
                    await _started_again(field, name, pid)
                else:
                    await asyncio.sleep(HELD_S)
                    field.stack.let_go(name)
                return f"{name} {what} inside its transaction ({state})"
            field.stack.let_go(name)
            await asyncio.sleep(field.chance.uniform(0.001, 0.02))
        raise NoBite(f"in {TRANSACTION_TRIES} tries no persister was inside a transaction")

    return strike


async def _open_transactions(field: Field) -> dict[object, str]:
    rows = await field.sql(
        "SELECT pid, xact_start, state, left(query, 30) FROM pg_stat_activity"
        " WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    )
    return {
        (pid, begun): f"{state}: {' '.join(str(query).split())}"
        for pid, begun, state, query in rows
    }


async def _transaction_of_the_stopped(field: Field) -> str:
    """Say which writing transaction stands still; empty: none. A running writer's is over soon."""
    before = await _open_transactions(field)
    if not before:
        return ""
    await asyncio.sleep(STANDS_STILL_S)
    still = await _open_transactions(field)
    return next((state for key, state in still.items() if key in before), "")


# -- outages: everything of a kind is dead for a while


def outage(kind: str) -> Strike:
    """Keep killing every process of the kind, whatever the supervisor does, for a while."""

    async def strike(field: Field) -> str:
        names, kills = field.names(kind), 0
        end = time.monotonic() + field.shape.outage_s
        while time.monotonic() < end:
            for name in names:
                if field.stack.pid(name):
                    with contextlib.suppress(ProcessLookupError):
                        field.stack.kill(name)
                        kills += 1
            await asyncio.sleep(0.05)
        if kills < len(names):
            raise NoBite(f"{kills} kills of {len(names)}")
        return f"all {len(names)} of {kind} dead for {field.shape.outage_s:g} s, {kills} kills"

    return strike


async def rolling_restart(field: Field) -> str:
    """SIGTERM to every service, one after the other, each when the one before is ready again.

    No answer may begin anew: who leaves hands over what runs, and another goes on with it.
    """
    before = {each.key: each.begun_anew for each in field.open_messages()}
    began = asyncio.get_running_loop().time()
    names = [*field.names("gateway"), *field.names("worker"), *field.names("persister")]
    for name in names:
        await restart_and_wait(field, name)
    told = [each for talker in field.talkers for each in talker.told if each.moved_s >= began]
    anew = [each.key for each in told if each.begun_anew > before.get(each.key, 0)]
    assert not anew, f"began anew: {anew}"
    return f"{len(names)} processes, one after the other, under {len(told)} messages"


# -- servers


@asynccontextmanager
async def _admin(field: Field) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=field.stack.file.kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _a_leader(field: Field) -> tuple[str, int]:
    """The name of a broker that leads shards of the session log, and how many."""
    async with _admin(field) as admin:
        [topic] = await admin.describe_topics([SESSION_LOG])
    led = [each["leader"] for each in topic["partitions"]]
    names = field.names("kafka")
    node = field.chance.choice(sorted({each for each in led if each >= 0}))
    return (names[0] if len(names) == 1 else f"kafka-{node}"), led.count(node)


async def leader_killed(field: Field) -> str:
    """kill -9 of a broker that leads."""
    name, led = await _a_leader(field)
    await kill_and_wait(field, name)
    return f"{name}, leader of {led} shards, killed"


async def leader_held(field: Field) -> str:
    """A broker that leads is stopped, and goes on later."""
    name, led = await _a_leader(field)
    field.stack.hold(name)
    try:
        await asyncio.sleep(HELD_S)
    finally:
        field.stack.let_go(name)
    return f"{name}, leader of {led} shards, stopped for {HELD_S:g} s"


async def redis_flushed(field: Field) -> str:
    """Everything in Valkey is gone at once."""
    import redis.asyncio

    async with redis.asyncio.from_url(field.stack.file.redis) as link:
        keys = await link.dbsize()
        await link.flushall()
    if keys < field.shape.sessions // 4:
        raise NoBite(f"there were only {keys} keys")
    return f"{keys} keys flushed"


async def disk_full(field: Field) -> str:
    """Postgres answers every write of pieces with disk_full (53100), as a full disk does."""
    await field.sql(
        "CREATE OR REPLACE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END$$;"
        "CREATE TRIGGER disk_is_full BEFORE INSERT ON streaming_messages"
        " FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full()"
    )
    before = await _rows(field)
    await asyncio.sleep(DISK_FULL_S)
    during = await _rows(field)
    await field.sql("DROP TRIGGER disk_is_full ON streaming_messages")
    if during > before:
        raise NoBite(f"rows were written to the full disk: {before} to {during}")
    async with asyncio.timeout(RESTARTED_WITHIN_S):
        while await _rows(field) <= during:  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.2)
    return f"no row in {DISK_FULL_S:g} s, then on from {during}"


async def _rows(field: Field) -> int:
    [(count,)] = await field.sql("SELECT count(*) FROM streaming_messages")
    return int(str(count))


# -- the model


def model_fault(orders: str, needs: str) -> Strike:
    """For a while every new call meets the fault; `needs` is what of the calls proves it."""

    async def strike(field: Field) -> str:
        before = 0

        def met() -> int:
            state = field.model.state()
            counts: dict[str, int] = {**state["states"], "opened": state["calls"]}
            return counts.get(needs, 0) - before

        before, calls_before = met(), field.model.state()["calls"]
        field.model.script(orders)
        try:
            await asyncio.sleep(MODEL_FAULT_S)
            # Nearly everybody may be on a gateway that stands still meanwhile, and asks nothing.
            with contextlib.suppress(AssertionError):
                await field.until(
                    lambda: field.model.state()["calls"] - calls_before >= CALLS_AT_LEAST,
                    MET_WITHIN_S,
                    "calls of the model",
                )
        finally:
            field.model.script("")
        opened = field.open_messages()  # who asked meanwhile may have met it, and ends only later
        with contextlib.suppress(AssertionError):
            await field.until(lambda: met() >= MET_AT_LEAST, MET_WITHIN_S, "calls met it")
        if met() < MET_AT_LEAST:
            raise NoBite(f"{met()} calls met {orders}")
        await field.until(lambda: all(m.over for m in opened), MODEL_ENDS_WITHIN_S, "ends")
        return f"{met()} calls met {orders}"

    return strike


PROCESSES = (
    Fault("worker, kill -9", killed("worker"), "answering"),
    Fault("worker, SIGSTOP 15 s", worker_held, "answering"),
    Fault("gateway, kill -9", killed("gateway"), "between"),
    Fault("gateway, SIGSTOP 15 s", held("gateway"), "between"),
    Fault("gateway, SIGSTOP 40 s", gateway_held, "between"),
    Fault("persister, kill -9", killed("persister"), "storing"),
    Fault("persister, SIGSTOP 15 s", held("persister"), "storing"),
    Fault(
        "persister, kill -9 in a transaction",
        in_transaction("killed", kill=True),
        "storing",
    ),
    Fault(
        "persister, SIGSTOP 15 s in a transaction",
        in_transaction("stopped for 15 s", kill=False),
        "storing",
    ),
    Fault("every tier, rolling restart", rolling_restart),
    Fault("all workers dead", outage("worker")),
)
SERVERS = (
    Fault("broker that leads, kill -9", leader_killed),
    Fault("broker that leads, SIGSTOP 15 s", leader_held),
    Fault("all brokers dead", outage("kafka")),
    Fault("Valkey, kill -9", killed("redis"), "between"),
    Fault("Valkey, FLUSHALL", redis_flushed, "between"),
    Fault("Valkey, SIGSTOP 15 s", held("redis"), "between"),
    Fault("Postgres, kill -9", killed("postgres"), "storing"),
    Fault("Postgres, SIGSTOP 15 s", held("postgres"), "storing"),
    Fault("Postgres, disk full", disk_full, "storing"),
)
MODEL = tuple(
    Fault(f"model, {what}", model_fault(orders, needs), "answering")
    for what, orders, needs in (
        ("429 with Retry-After", "fault=status:429 retry_after=1 fails=1", "fault"),
        ("500", "fault=status:500 fails=1", "fault"),
        ("hangs before the first token", "fault=hang_after:0 fails=1", "closed"),
        ("hangs between tokens", "fault=hang_after:5 fails=1", "closed"),
        ("cut", "fault=cut_after:5 fails=1", "fault"),
        ("garbage", "fault=garbage_after:5 fails=1", "fault"),
        ("no [DONE]", "fault=no_done", "opened"),
    )
)
