"""An installation that is started as deploy/compose.yaml says, beside real servers.

How a process is made is the caller's: `python -m …` here, or the same in a container of the image.
Addresses are the servers' own, ports are free ones, and secrets lie in a folder; all else is what
the compose file and the image say.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.ports import free_run
from deploy.local.program import wrapped
from schemas.topics import topics
from tests.deployed.compose_file import DEPLOY, JOBS, SECRETS, Service, image_environment, services
from tests.stack import RunningStack, end
from tests.waiting import WITHIN_S, wait_until

STOP_WITHIN_S = 60.0
DATABASE = "handed_out"


class Launch(Protocol):
    """Makes a process of what follows `python -m`."""

    def __call__(
        self, name: str, command: list[str], environment: Mapping[str, str], secrets: Path
    ) -> tuple[list[str], Mapping[str, str]]:
        """Give the command line, and the environment in which it is run."""


def here(
    name: str, command: list[str], environment: Mapping[str, str], secrets: Path
) -> tuple[list[str], Mapping[str, str]]:
    """Run it as a process of this Python, in this tree."""
    own = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    told = {key: value.replace(SECRETS, str(secrets)) for key, value in environment.items()}
    return [sys.executable, "-m", *command], told | {"PYTHONPATH": ""} | own


@dataclass(slots=True)
class Installation:
    """Our own services; what each prints is in the folder, under its name."""

    folder: Path
    launch: Launch
    services: dict[str, Service]
    secrets: Path
    environments: dict[str, dict[str, str]]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    runs: int = 0

    def run(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run something in a service's environment until it ends; no words: its own command."""
        self.runs += 1
        words = list(command) or self.services[name].command
        line, environment = self._made(f"run-{self.runs}", words, name)
        return subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Run a service until the block ends, once its health check says that it is well."""
        line, environment = self._made(name, self.services[name].command, name)
        with self.output(name).open("ab") as log:
            process = subprocess.Popen(
                wrapped(line, uid=None, death_signal=signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.processes[name] = process
        try:
            wait_until(lambda: self._well_or_ended(name), WITHIN_S, self.output(name).read_text)
            assert process.poll() is None, self.output(name).read_text()
            yield
        finally:
            end(process, STOP_WITHIN_S)

    def stop(self, name: str) -> int:
        """SIGTERM; give the exit code, which must come before an engine would kill it."""
        process = self.processes[name]
        process.terminate()
        return process.wait(self.services[name].stop_within_s)

    def output(self, name: str) -> Path:
        """What it prints."""
        return self.folder / f"{name}.log"

    def address(self, name: str) -> str:
        """host:port of a service's admin port."""
        return f"127.0.0.1:{self.environments[name]['TALKLOG_ADMIN_PORT']}"

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"ws://127.0.0.1:{self.environments['gateway']['TALKLOG_PORT']}"

    @property
    def dsn(self) -> str:
        """The database's address, as its secret says."""
        return (self.secrets / "postgres_dsn").read_text().strip()

    def token(self, subject: str) -> str:
        """A token that the gateway takes, for sessions that begin with the subject."""
        done = self.run("gateway", "deploy", "token", "--sub", subject)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _made(self, name: str, command: list[str], of: str) -> tuple[list[str], Mapping[str, str]]:
        return self.launch(name, command, self.environments[of], self.secrets)

    def _well_or_ended(self, name: str) -> bool:
        ended = self.processes[name].poll() is not None
        return ended or self.run(name, *self.services[name].health).returncode == 0


@asynccontextmanager
async def installed(
    servers: RunningStack, folder: Path, model: str, launch: Launch
) -> AsyncIterator[Installation]:
    """Run all services until the block ends, in a log and a database that hold nothing yet."""
    await _without_topics(servers.file.kafka)
    secrets = folder / "secrets"
    _draw(secrets, dsn=new_database(servers.file.postgres, DATABASE))
    listed = services({"OPENAI_BASE_URL": model, "KAFKA_BROKERS": servers.file.kafka})
    first = free_run(2 * len(listed))
    environments = {
        name: image_environment()
        | service.environment
        | {
            "TALKLOG_REDIS_URL": servers.file.redis,
            "TALKLOG_ADMIN_PORT": str(first + 2 * number),
            "TALKLOG_PORT": str(first + 2 * number + 1),
        }
        for number, (name, service) in enumerate(listed.items())
    }
    installation = Installation(folder, launch, listed, secrets, environments)
    with ExitStack() as stack:
        for name in JOBS:
            done = await asyncio.to_thread(installation.run, name)
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        for name in [each for each in listed if each not in JOBS]:
            stack.enter_context(installation.running(name))
        yield installation


def _draw(secrets: Path, *, dsn: str) -> None:
    """Have the secrets written as a person does, with the address of the database that is here."""
    secrets.mkdir()
    (secrets / "postgres_dsn").write_text(f"{dsn}\n")
    written = subprocess.run(
        ["sh", DEPLOY / "secrets.sh", secrets], capture_output=True, text=True, check=False
    )
    assert written.returncode == 0, written.stderr


async def _without_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic.name for topic in topics(1, 1)])
    finally:
        await admin.close()


def new_database(dsn: str, name: str) -> str:
    """Make an empty database beside another one; give its address."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()
