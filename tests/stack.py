"""A stack of the tests' own: the real `talklog run`, on free ports, in a folder of its own.

    with running_stack(folder, servers_only=True) as stack:
        stack.file.kafka, stack.file.postgres, stack.file.redis

It ends with the block, and with the test run however that ends. Processes are found by the pids
in `stack.file`, which is read anew each time: a process that was started again has another pid.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local import process_list, stack_file
from deploy.local.program import wrapped
from deploy.local.run import START_SIGNAL
from deploy.local.settings import StackSettings
from tests.links import Links
from tests.waiting import wait_until

START_WITHIN_S = 240.0
STOP_WITHIN_S = 40.0
COMMAND_WITHIN_S = 120.0
STANDS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that is ready."""

    state: Path
    supervisor_pid: int

    @property
    def file(self) -> stack_file.StackFile:
        """What stack.json says now."""
        content = stack_file.read(self.state)
        assert content is not None, "the stack is gone"
        return content

    @property
    def epoch(self) -> int:
        """The epoch of its log."""
        kept = json.loads((self.state / "kept.json").read_text())
        return int(kept["epochs"]["local"])

    @property
    def links(self) -> Links:
        """The links between services and servers, of a stack with LINKS="1"."""
        address = self.file.links
        assert isinstance(address, str), 'this stack has no links to cut: LINKS="1"'
        return Links(address)

    def pid(self, name: str) -> int:
        """The pid of a process by its name (kafka, postgres, worker-1, …), 0 if it is dead."""
        return next((each.pid for each in process_list.read(self.state) if each.name == name), 0)

    def kill(self, name: str) -> None:
        """kill -9."""
        os.kill(self.pid(name), signal.SIGKILL)

    def kill_pid(self, pid: int) -> None:
        """kill -9 of the process that has this pid, if it is one of the stack's."""
        assert pid in (each.pid for each in process_list.read(self.state)), pid
        os.kill(pid, signal.SIGKILL)

    def hold(self, name: str) -> None:
        """SIGSTOP, to its children too: Postgres has a process for each connection.

        Returns when it stands: a server with several threads goes on for a moment. Its children
        are looked for only then, for it may be making one.
        """
        with contextlib.suppress(psutil.NoSuchProcess):  # ended; the list does not say so yet
            parent = psutil.Process(self.pid(name))
            parent.suspend()
            _until_it_stands(parent)
            for child in parent.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.suspend()
                    _until_it_stands(child)

    def let_go(self, name: str) -> None:
        """SIGCONT."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.pid(name))
            for process in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def start_dead(self) -> None:
        """What `talklog start` does: start again what is dead, where nothing else does."""
        os.kill(self.supervisor_pid, START_SIGNAL)

    def state_of(self, name: str) -> str:
        """starting, ready, dead or stopped; empty for a name that is not there."""
        listed = process_list.read(self.state)
        return next((each.state for each in listed if each.name == name), "")


@contextlib.contextmanager
def running_stack(
    state: Path, *, servers_only: bool = False, tree: Path | str | None = None, **variables: str
) -> Iterator[RunningStack]:
    """Run a stack until the block ends; `variables` are the stack's (WORKERS="2", …).

    `tree` is the folder whose code runs, a changed copy of this one perhaps.
    """
    state.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy", "run", *(["--servers-only"] * servers_only)]
    output = state / "run.log"
    with output.open("ab") as log:
        process = subprocess.Popen(
            wrapped(command, uid=None, death_signal=signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment() | {"PORT": "0"} | variables | {"STATE": str(state)},
            cwd=tree,
            start_new_session=True,
        )
    try:
        _wait_ready(process, state, output)
        yield RunningStack(state, process.pid)
    finally:
        end(process, STOP_WITHIN_S)


def _until_it_stands(process: psutil.Process) -> None:
    deadline = time.monotonic() + STANDS_WITHIN_S
    while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def end(process: "subprocess.Popen[bytes]", within_s: float) -> None:
    """SIGTERM, and kill -9 if it is still there then."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def talklog(
    stack: RunningStack,
    *arguments: str,
    check: bool = True,
    within_s: float = COMMAND_WITHIN_S,
) -> "subprocess.CompletedProcess[str]":
    """Run `talklog` as a person would beside this stack; an exit code but 0 fails if `check`."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        env=_environment() | {"STATE": str(stack.state)},
        capture_output=True,
        text=True,
        timeout=within_s,
    )
    assert not (check and done.returncode), f"talklog {arguments}: {done.stdout}{done.stderr}"
    return done


def _wait_ready(process: "subprocess.Popen[bytes]", state: Path, output: Path) -> None:
    def ready_or_ended() -> bool:
        content = stack_file.read(state)
        return process.poll() is not None or (content is not None and content.ready)

    wait_until(ready_or_ended, START_WITHIN_S, output.read_text)
    code = process.poll()
    assert code is None, f"the stack did not start ({code=}):\n{output.read_text()}"


def _environment() -> dict[str, str]:
    """The environment without anything that would point this stack at other servers.

    A test's broker lives for a minute and has little to do: Java's quick compiler is enough for
    it, and the thorough one would take a second of a core at each start.
    """
    stack_own = {field.alias for field in StackSettings.model_fields.values()}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in stack_own and not name.startswith(("TALKLOG_", "OPENAI_"))
    } | {"_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}
