"""Python runs this at the start of each process that has this folder in its PYTHONPATH.

It measures the turns of the event loop from inside the process; `tests.bench.blocks` reads them.

The loop is asked for a beat every millisecond. What its thread has computed between two beats was
one turn, or few: that is taken for one block. The time by the clock is noted beside it: on a busy
machine a thread waits for a core, and no turn is to blame for that. Where the loop stands when a
beat is late is seen from another thread.
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

BEAT_S = 0.001
NOTED_S = 0.005
LOOK_S = 0.005
KEPT = 10
WRITTEN_EVERY_S = 1.0
FRAMES = 10


class Turns:
    """The longest turns of this process' loop, in a file that is written once a second.

    A file of the same name that ends in .anew has it forget them, and is taken away then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._anew = path.with_suffix(".anew")
        self._longest: list[dict[str, Any]] = []
        self._thread = 0
        self._beat_s = self._cpu_s = self._written_s = self._looked_s = 0.0
        self._seen: list[str] = []

    def begin(self) -> None:
        """Measure the loop in which this is called."""
        self._thread = threading.get_ident()
        gc.callbacks.append(self._note_garbage)
        self._write()
        self._rest()
        threading.Thread(target=self._look_on, name="turns", daemon=True).start()

    def _rest(self) -> None:
        self._seen = []
        self._beat_s, self._cpu_s = time.monotonic(), time.thread_time()
        asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now_s, cpu_s = time.monotonic(), time.thread_time() - self._cpu_s
        if cpu_s > NOTED_S:
            clock_ms = 1000 * (now_s - self._beat_s)
            turn = {"cpu_ms": 1000 * cpu_s, "clock_ms": clock_ms, "seen": self._seen}
            self._longest = sorted([*self._longest, turn], key=lambda each: -each["cpu_ms"])[:KEPT]
        if now_s - self._written_s > WRITTEN_EVERY_S:
            self._written_s = now_s
            if self._anew.exists():
                self._longest = []
                self._anew.unlink()
            self._write()
        self._rest()

    def _write(self) -> None:
        """At once or not at all: somebody may be reading it."""
        partly = self._path.with_suffix(".partly")
        partly.write_text(json.dumps(self._longest))
        partly.replace(self._path)

    def _note_garbage(self, phase: str, told: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._looked_s = time.thread_time()
        elif (took_s := time.thread_time() - self._looked_s) > NOTED_S:
            took = f"{1000 * took_s:.0f} ms, {told['collected']} found"
            self._seen.append(f"a look for garbage of generation {told['generation']}: {took}")

    def _look_on(self) -> None:
        while True:
            time.sleep(LOOK_S)
            if time.monotonic() - self._beat_s > LOOK_S:
                frame = sys._current_frames().get(self._thread)
                stack = traceback.extract_stack(frame)[-FRAMES:]
                self._seen.append(" < ".join(f"{f.name}:{f.lineno}" for f in reversed(stack)))


def _watch_first_loop(folder: Path) -> None:
    import uvloop  # here: a process that has no such loop needs none

    turns = Turns(folder / f"{os.getpid()}.json")
    run_forever = uvloop.Loop.run_forever

    def watched(loop: Any) -> None:
        setattr(uvloop.Loop, "run_forever", run_forever)  # noqa: B010 - it is a method
        loop.call_soon(turns.begin)
        run_forever(loop)

    setattr(uvloop.Loop, "run_forever", watched)  # noqa: B010 - it is a method


if folder := os.environ.get("TURNS_FOLDER"):
    _watch_first_loop(Path(folder))
