"""`up`, `down` and `status`: the same stack, with the supervisor in a process of its own.

What the supervisor says goes into logs/supervisor.log; `up` shows it as it comes, so that nobody
waits before a silent screen. `down` must always be enough, so it does not trust the supervisor:
one that doesn't stop is killed, and whatever is left of its processes, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from deploy.local import lock, process_list, stack_file
from schemas.process.exit_codes import EXIT_INTERRUPTED

POLL_S = 0.1
# The services' grace, the servers' time to write down what they hold, and some patience.
STOP_WITHIN_S = 30.0


def up(
    state: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> int:
    """Start a supervisor and return its verdict: 0 when a message went through, else its exit."""
    log = state / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if (pid := lock.holder(state)) is not None:
        raise lock.RunsAlready(state, pid)
    # What an earlier supervisor wrote before it was killed says nothing about this one.
    (state / "stack.json").unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "deploy", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment) | {"PYTHONUNBUFFERED": "1"},
            cwd=Path.cwd(),
            start_new_session=True,
        )
    try:
        return _follow(process, state, log, say)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            process.wait(STOP_WITHIN_S)
        return EXIT_INTERRUPTED


def _follow(
    process: subprocess.Popen[bytes], state: Path, log: Path, say: Callable[[str], None]
) -> int:
    """Repeat what the supervisor says until it is ready or gone."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            # Asked before the lines are read: what it said before is then among them.
            code = process.poll()
            ready = _is_ready(state)
            for line in lines:
                say(line.rstrip("\n"))
            if code is not None:
                return code
            if ready:
                return 0
            time.sleep(POLL_S)


def _is_ready(state: Path) -> bool:
    file = stack_file.read(state)
    return file is not None and file.ready


def down(state: Path, say: Callable[[str], None]) -> int:
    """Stop the supervisor and make sure that nothing is left."""
    pid = lock.holder(state)
    if pid:
        say(f"stopping the stack in {state} (supervisor pid {pid})")
        if not _stop(pid, state):
            say(f"it did not stop within {STOP_WITHIN_S:g} s, killed")
    left = process_list.kill_leftovers(state)
    if left:
        say(f"killed what was left: {', '.join(left)}")
    for name in ("stack.json", "processes.json"):
        (state / name).unlink(missing_ok=True)
    say("stopped" if pid or left else f"nothing runs in {state}")
    return 0


def _stop(pid: int, state: Path) -> bool:
    """Whether the supervisor stopped by itself."""
    deadline = time.monotonic() + STOP_WITHIN_S
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    while lock.holder(state) == pid:
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _wait_unlocked(state)
            return False
        time.sleep(POLL_S)
    return True


def _wait_unlocked(state: Path) -> None:
    deadline = time.monotonic() + STOP_WITHIN_S
    while lock.holder(state) is not None and time.monotonic() < deadline:
        time.sleep(POLL_S)


def start(state: Path, say: Callable[[str], None]) -> int:
    """Have the supervisor start what is dead, as after a kill with RESTART=0."""
    pid = lock.holder(state)
    if not pid:
        say(f"nothing runs in {state}")
        return 1
    os.kill(pid, signal.SIGUSR1)
    return 0


def status(state: Path, say: Callable[[str], None]) -> int:
    """Say what lives; 0 if everything does and a message went through, else 1."""
    pid = lock.holder(state)
    listed = process_list.read(state)
    if pid is None:
        left = [each.name for each in listed if process_list.lives(each)]
        say(f"nothing runs in {state}" + (f", but left behind: {', '.join(left)}" if left else ""))
        return 1
    ready = _is_ready(state)
    say(f"{'supervisor':<12} {'ready' if ready else 'not ready':<9} pid {pid:<8} {state}")
    for each in listed:
        now = each.state if process_list.lives(each) else "dead"
        memory = f"{_memory_mib(each.pid):>4} MiB" if now != "dead" else ""
        again = f"  restarted {each.restarts} times" if each.restarts else ""
        say(f"{each.name:<12} {now:<9} pid {each.pid:<8} {each.address:<28} {memory}{again}")
    alive = all(each.state == "ready" and process_list.lives(each) for each in listed)
    return 0 if ready and alive else 1


def _memory_mib(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss // 2**20)
    except psutil.Error:
        return 0


def clean(state: Path, say: Callable[[str], None]) -> int:
    """Throw the state away, after stopping what runs in it."""
    down(state, say)
    shutil.rmtree(state, ignore_errors=False)
    say(f"removed {state}")
    return 0
