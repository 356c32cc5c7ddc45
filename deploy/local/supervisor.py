"""Owns the stack's processes: runs them, tells scripts about them, stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.local import process_list, stack_file
from deploy.local.process import Process
from deploy.local.program import Kind, Program

TRIM_LOGS_EVERY_S = 30.0
# People first, then what still has something to write, then what it is written to.
STOP_ORDER: tuple[tuple[Kind, ...], ...] = (
    ("gateway",),
    ("worker",),
    ("persister",),
    ("model",),
    ("links",),
    ("kafka", "postgres", "redis"),
)


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    name: str
    address: str
    admin: str
    pid: int


class Supervisor:
    """The processes of one state folder. `file` is what stack.json says."""

    def __init__(self, state: Path, *, restart: bool, say: Callable[[str], None]) -> None:
        self.file = stack_file.StackFile()
        self.processes: dict[str, Process] = {}
        self._state = state
        self._restart = restart
        self._say = say
        self._logs = state / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._tasks = [asyncio.ensure_future(self._trim_logs())]
        self._closed = False

    def run(self, program: Program) -> Process:
        """Start a program and keep it running until `stop`."""
        process = Process(
            program,
            self._logs / f"{program.name}.log",
            restart=self._restart,
            say=self._say,
            changed=self.write_files,
        )
        self.processes[program.name] = process
        self._tasks.append(asyncio.ensure_future(process.supervise()))
        return process

    def tell(self, **addresses: object) -> None:
        """Change what stack.json says beside the processes."""
        self.file = msgspec.structs.replace(self.file, **addresses)
        self.write_files()

    def write_files(self) -> None:
        """Write stack.json and processes.json as things are now."""
        if self._closed:
            return
        rows = [
            _Row(p.program.kind, p.name, p.program.address, p.program.admin, p.pid)
            for p in self.processes.values()
        ]
        self.file = stack_file.with_processes(self.file, rows)
        # A full disk must not take down what still runs; the files are then older than they look.
        with contextlib.suppress(OSError):
            process_list.write(self._state, [_listed(p) for p in self.processes.values()])
            stack_file.write(self._state, self.file)

    async def stop(self) -> None:
        """Stop everything in order; nothing is left when it returns."""
        self.tell(ready=False)
        for kinds in STOP_ORDER:
            these = [p for p in self.processes.values() if p.program.kind in kinds]
            await asyncio.gather(*(process.stop() for process in these))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._closed = True
        for name in ("stack.json", "processes.json"):
            (self._state / name).unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill everything, now."""
        for process in self.processes.values():
            process.kill()

    def start_dead(self) -> None:
        """Start what is dead now, without waiting any longer."""
        for process in self.processes.values():
            process.start_again()

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(TRIM_LOGS_EVERY_S)
            for process in self.processes.values():
                process.trim_log()


def _listed(process: Process) -> process_list.Listed:
    return process_list.Listed(
        name=process.name,
        pid=process.pid,
        state=process.state.value,
        address=process.program.address,
        restarts=process.restarts,
        made_at=process_list.made_at(process.pid),
    )
