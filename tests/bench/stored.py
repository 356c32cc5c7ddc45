"""`python -m tests.bench.stored`: a log of a million pieces into Postgres, verified, built anew.

The log is written first; then a persister starts and catches up, then `talklog verify` and
`talklog rebuild --compare` read all of it once more. Servers are its own; nothing else runs there.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
from aiokafka import AIOKafkaProducer

from schemas.events import Event, encode
from schemas.topics import shard_of
from tests.bench.cost import cpu_of
from tests.bench.measured import bench_folder
from tests.stack import RunningStack, running_stack, talklog
from tests.written import Say, topic_of

SHARDS = 8
PIECES = 200
CATCH_UP_WITHIN_S = 600


def main() -> int:
    """Write, store, verify, rebuild; print each as records a second. Exits 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stored", description=__doc__)
    parser.add_argument("--pieces", type=int, default=1_000_000, help="chunks in the log")
    arguments = parser.parse_args()
    with bench_folder() as folder, running_stack(folder / "state", servers_only=True) as servers:
        return _measure(servers, arguments.pieces // PIECES, folder)


def _measure(servers: RunningStack, answers: int, folder: Path) -> int:
    began = time.monotonic()
    records = asyncio.run(_write(servers, answers))
    print(f"written   {records:,} records in {time.monotonic() - began:.0f} s", flush=True)
    _store(servers, answers, folder)
    for command in (["verify", "--older-than-m", "0"], ["rebuild", "--compare"]):
        began, child_s = time.monotonic(), _children_s()
        done = talklog(servers, *command, check=False, within_s=900)
        took_s = time.monotonic() - began
        print(
            f"{command[0]:<9} {records / took_s:>9,.0f} records/s, {took_s:.1f} s, "
            f"{_children_s() - child_s:.1f} s of CPU, exit {done.returncode}",
            flush=True,
        )
        if done.returncode:
            print(done.stdout, done.stderr)
            return 1
    return 0


def _store(servers: RunningStack, answers: int, folder: Path) -> None:
    """Start a persister, and wait until it has written every answer's end."""
    environment = os.environ | {
        "TALKLOG_KAFKA": servers.file.kafka,
        "TALKLOG_POSTGRES_DSN": servers.file.postgres,
        "TALKLOG_EPOCH": str(servers.epoch),
    }
    postgres_s = cpu_of(servers.pid("postgres"))
    log = folder / "persister.log"
    with log.open("wb") as output:
        persister = subprocess.Popen(
            [sys.executable, "-m", "persister"], env=environment, stdout=output, stderr=output
        )
        try:
            began = _first_row(servers)
            while _count(servers, "answers WHERE ended_at IS NOT NULL") < answers:
                assert time.monotonic() < began + CATCH_UP_WITHIN_S, "the persister hangs"
                assert persister.poll() is None, log.read_text()
                time.sleep(0.2)
            took_s, rows = time.monotonic() - began, _count(servers, "streaming_messages")
            own_s, postgres_s = cpu_of(persister.pid), cpu_of(servers.pid("postgres")) - postgres_s
            memory = psutil.Process(persister.pid).memory_info().rss / 2**20
        finally:
            persister.terminate()
            persister.wait(20)
    print(
        f"persister {rows / took_s:>9,.0f} rows/s, {took_s:.1f} s, {own_s:.1f} s of CPU, "
        f"Postgres {postgres_s:.1f} s, {memory:.0f} MiB",
        flush=True,
    )


def _first_row(servers: RunningStack) -> float:
    """Wait until it writes: joining its group is not what is measured."""
    deadline = time.monotonic() + 60
    while not _count(servers, "(SELECT 1 FROM streaming_messages LIMIT 1) AS one"):
        assert time.monotonic() < deadline, "no row in a minute"
        time.sleep(0.01)
    return time.monotonic()


def _count(servers: RunningStack, what: str) -> int:
    with psycopg.connect(servers.file.postgres) as connection:
        [count] = connection.execute(f"SELECT count(*) FROM {what}".encode()).fetchone() or (0,)
    return int(count)


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


async def _write(servers: RunningStack, answers: int) -> int:
    """Write answers as workers do, many sessions side by side; give the number of records."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers.file.kafka,
        enable_idempotence=True,
        linger_ms=20,
        max_batch_size=256 * 1024,
    )
    written = 0
    async with producer:
        for number in range(answers):
            say = Say(f"bench-{number % 1000}", f"m{number}")
            texts = [f" piece {number}/{n}" for n in range(PIECES)]
            events = [say.said(), *say.answer(texts)]
            sent = [await _send(producer, event) for event in events]
            written += len(events)
            if number % 50 == 49:
                await asyncio.gather(*sent)
        await producer.flush()
    return written


async def _send(producer: AIOKafkaProducer, event: Event) -> "asyncio.Future[object]":
    sent: asyncio.Future[object] = await producer.send(
        topic_of(event),
        key=event.session_id.encode(),
        value=encode(event),
        partition=shard_of(event.session_id, SHARDS),
    )
    return sent


if __name__ == "__main__":
    sys.exit(main())
