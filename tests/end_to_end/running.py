"""A stack that runs: started and stopped by the commands people use, found through stack.json."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

ROOT = Path(__file__).parents[2]
COMMAND_LIMIT_S = 240


class Running:
    """The stack of one `STATE` folder."""

    def __init__(self, state: Path, environment: dict[str, str]) -> None:
        self.state = state
        self.environment = environment

    @property
    def file(self) -> dict[str, Any]:
        """What stack.json says now."""
        content: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return content

    @property
    def gateways(self) -> list[str]:
        """The gateways' addresses."""
        return [gateway["url"] for gateway in self.file["gateways"]]

    def talklog(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `talklog` with arguments, as a person would, against this stack."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
        )
        if check and done.returncode:
            raise AssertionError(
                f"talklog {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def kill(self, pid: int, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal to one of the stack's processes (to its group: wrappers come along)."""
        os.kill(pid, signal_number)


@contextmanager
def running(state: Path, **environment: str) -> Iterator[Running]:
    """`talklog up` with these variables; `talklog down` and no process left afterwards."""
    stack = Running(state, {"STATE": str(state), "PORT": "0"} | environment)
    try:
        stack.talklog("up")
        yield stack
    finally:
        pids = _pids(stack)
        stack.talklog("down")
        left = [pid for pid in pids if psutil.pid_exists(pid)]
        assert not left, f"down left processes: {left}"


def _pids(stack: Running) -> list[int]:
    if not (stack.state / "stack.json").exists():
        return []
    content = stack.file
    groups = content["gateways"] + content["workers"] + content["persisters"] + content["brokers"]
    return [each["pid"] for each in groups if each["pid"]] + [
        pid for pid in content["others"].values() if pid
    ]


class ModelControl:
    """The scripted model from outside: `url` ends in /v1."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._control = url.removesuffix("/v1") + "/control"

    def state(self) -> dict[str, Any]:
        """Counts: calls, open, max_open, tokens, states, by_key."""
        return _json(self._control + "/state")

    def calls(self, key: str) -> list[dict[str, Any]]:
        """The calls of one key, with the messages that came with them."""
        return list(_json(f"{self._control}/calls?key={key}"))

    def release(self) -> None:
        """Let every held stream go on."""
        _json(self._control + "/release", method="POST")

    def reset(self) -> None:
        """Count anew."""
        _json(self._control + "/reset", method="POST")


@contextmanager
def scripted_model(default: str = "") -> Iterator[ModelControl]:
    """The scripted model in a process of its own, so that tests cannot slow it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.scripted_model", "--default", default],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield ModelControl(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


async def until(condition: Callable[[], object], deadline_s: float, what: str) -> None:
    """Ask until the condition holds. Raises AssertionError, naming `what`, after the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not await asyncio.to_thread(condition):
        assert loop.time() < end, f"not in {deadline_s} s: {what}"
        await asyncio.sleep(0.1)


def _json(url: str, method: str = "GET") -> Any:
    with urlopen(Request(url, method=method), timeout=10) as answer:
        return json.load(answer)
