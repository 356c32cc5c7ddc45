"""The scripted model from outside, in a process of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

from deploy.local.program import wrapped


class ModelControl:
    """The scripted model from outside: `url` ends in /v1."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._control = url.removesuffix("/v1") + "/control"

    def state(self) -> dict[str, Any]:
        """Counts: calls, open, max_open, tokens, states, by_key."""
        counts: dict[str, Any] = _json(self._control + "/state")
        return counts

    def calls(self, key: str) -> list[dict[str, Any]]:
        """The calls of one key, with the messages that came with them."""
        return list(_json(f"{self._control}/calls?key={key}"))

    def release(self) -> None:
        """Let every held stream go on."""
        _json(self._control + "/release", method="POST")

    def let_go(self) -> bool:
        """Release, and say whether no stream is open: one may come to its stop only later."""
        self.release()
        return bool(self.state()["open"] == 0)

    def script(self, default: str) -> None:
        """What every call from now on follows, where its prompt says nothing else."""
        _json(self._control + "/script", method="POST", body={"default": default})

    def reset(self) -> None:
        """Count anew."""
        _json(self._control + "/reset", method="POST")


@contextmanager
def scripted_model(default: str = "") -> Iterator[ModelControl]:
    """The scripted model in a process of its own, so that tests cannot slow it."""
    command = [sys.executable, "-m", "tests.scripted_model", "--default", default]
    process = subprocess.Popen(
        wrapped(command, uid=None, death_signal=signal.SIGKILL),
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


def _json(url: str, method: str = "GET", body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"}
    with urlopen(Request(url, data, kind, method=method), timeout=10) as answer:
        return json.load(answer)
