"""One process of the stack: start it, know when it is ready, start it again when it dies.

Every process gets a session of its own, so that Ctrl-C in the terminal reaches only the
supervisor, which then stops them in order; and it dies with the supervisor, however that dies.
What it prints goes straight into its log file: nothing of it passes through the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from deploy.local.backoff import failures_in_a_row, restart_delay_s
from deploy.local.program import Program, StartFailed, wrapped
from schemas.process.exit_codes import EXIT_SETTINGS

LOG_MAX_BYTES = 32 * 1024 * 1024
LAST_LINES = 8
STILL_STARTING_EVERY_S = 5.0
READY_PROBE_EVERY_S = 0.05


class State(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    DEAD = "dead"
    STOPPED = "stopped"


class Process:
    """A program under supervision."""

    def __init__(
        self,
        program: Program,
        log: Path,
        *,
        restart: bool,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.program = program
        self.log = log
        self.state = State.STOPPED
        self.restarts = 0
        self.exit_code: int | None = None
        self._restart = restart
        self._say = say
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._stopping = asyncio.Event()
        self._wanted = asyncio.Event()
        self._first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Its failure is told even if nobody waits for this one any more.
        self._first_ready.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def name(self) -> str:
        """The name it has in lines, logs and stack.json."""
        return self.program.name

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else 0

    async def wait_ready(self) -> None:
        """Wait for the first time it is ready.

        Raises:
            StartFailed: it died or was not ready in time.
        """
        await asyncio.shield(self._first_ready)

    async def supervise(self) -> None:
        """Keep it running until `stop` is called. Does not raise for what the program does."""
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await self._live_once()
            except (OSError, StartFailed) as error:
                self._fail_first(str(error).removeprefix(f"{self.name}: "))
            if self._stopping.is_set():
                break
            failures = failures_in_a_row(failures, time.monotonic() - started)
            await self._pause(failures)
        self._set(State.STOPPED)

    def start_again(self) -> None:
        """Start it now if it is dead (also when it was to stay dead)."""
        self._wanted.set()

    async def stop(self, within_s: float | None = None) -> None:
        """Ask it to stop, kill it if it does not in time, wait until all of it is gone."""
        self._stopping.set()
        self._wanted.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        limit_s = self.program.stop_within_s if within_s is None else within_s
        self.signal(self.program.stop_signal)
        # A process that is held by SIGSTOP can't act on the signal until it goes on.
        self.signal(signal.SIGCONT)
        try:
            await asyncio.wait_for(process.wait(), limit_s)
        except TimeoutError:
            self._say(f"{self.name}: did not stop within {limit_s:g} s, killed")
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """Kill it and everything it started, now."""
        self._stopping.set()
        self._wanted.set()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal (nothing happens if it is gone)."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def last_lines(self) -> list[str]:
        """What it wrote last, since this start."""
        try:
            with self.log.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(min(self._log_start, end), end - 16_384))
                text = log.read().decode(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]

    def trim_log(self) -> None:
        """Keep the log file bounded: the old part moves to NAME.log.1."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_MAX_BYTES:
                self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
                os.truncate(self.log, 0)

    async def _live_once(self) -> None:
        """One life: start, ready, death. Returns when it is dead."""
        if self.program.prepare is not None:
            await self.program.prepare()
        if self._stopping.is_set():
            return
        self._set(State.STARTING)
        started = time.monotonic()
        process = self._process = await self._spawn()
        self._changed()
        death = asyncio.ensure_future(process.wait())
        try:
            if await self._becomes_ready(death):
                self._announce(time.monotonic() - started)
                await death
            elif not death.done():
                # Alive but not ready in time: another try may do better than waiting on.
                self._fail_first(f"not ready within {self.program.ready_within_s:g} s")
                os.killpg(process.pid, signal.SIGKILL)
                await death
        finally:
            death.cancel()
            self._sweep(process.pid)
        self.exit_code = process.returncode
        if not self._stopping.is_set():
            self._report_death()

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.trim_log()
        program = self.program
        command = wrapped(program.argv, uid=program.uid, death_signal=program.death_signal)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,
            )

    async def _becomes_ready(self, death: asyncio.Future[int]) -> bool:
        started = time.monotonic()
        told_s = 0.0
        while not death.done() and (waited_s := time.monotonic() - started) < (
            self.program.ready_within_s
        ):
            if waited_s - told_s >= STILL_STARTING_EVERY_S:
                told_s = waited_s
                self._say(f"{self.name:<12} still starting ({waited_s:.0f} s)")
            try:
                async with asyncio.timeout(5.0):
                    if await self.program.ready():
                        return not death.done()
            except (OSError, TimeoutError):
                pass  # not listening yet
            await asyncio.wait([death], timeout=READY_PROBE_EVERY_S)
        return False

    def _announce(self, took_s: float) -> None:
        again = "" if not self._first_ready.done() else ", again"
        if not self._first_ready.done():
            self._first_ready.set_result(None)
        self._set(State.READY)
        where = f"{self.program.address:<28}"
        self._say(f"{self.name:<12} {where} pid {self.pid:<8} ready in {took_s:.1f} s{again}")

    def _report_death(self) -> None:
        self._set(State.DEAD)
        code = self.exit_code
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        lines = "".join(f"\n    {line}" for line in self.last_lines())
        self._say(f"{self.name}: died ({how}){lines and '; it wrote last:'}{lines}")
        if code == EXIT_SETTINGS:
            self._fail_first(f"refused its settings{lines}")

    def _fail_first(self, why: str) -> None:
        """Tell who waits for the first start that it failed."""
        if not self._first_ready.done():
            self._first_ready.set_exception(StartFailed(f"{self.name}: {why}"))

    async def _pause(self, failures: int) -> None:
        """Wait before the next start: a while, or until asked for when it is to stay dead."""
        self._wanted.clear()
        if self._stopping.is_set():
            return
        if not self._restart and self._first_ready.done():
            self._say(f"{self.name}: stays dead (RESTART=0)")
            await self._wanted.wait()
            return
        delay_s = restart_delay_s(failures)
        if failures > 1:
            self._say(f"{self.name}: starts again in {delay_s:g} s")
        if failures >= 4:
            self._fail_first(f"died {failures} times in a row; its log is {self.log}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), delay_s)
        self.restarts += 1

    def _sweep(self, group: int) -> None:
        """Kill what the dead process left in its group (a postmaster's children, for one)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)

    def _set(self, state: State) -> None:
        self.state = state
        self._changed()
