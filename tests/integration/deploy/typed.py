"""A person at a terminal: types into a command that runs on a pseudo-terminal, and reads it."""

import asyncio
import fcntl
import os
import pty
import re
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.waiting import WITHIN_S, Changes

_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
CTRL_C = "\x03"


class Typed:
    """One running command; `screen` is all it has written, without colours."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self._process = process
        self._written = b""
        self._changes = Changes()
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def screen(self) -> str:
        """What was written so far."""
        return _STYLES.sub("", self._written.decode(errors="replace")).replace("\r", "")

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    async def sees(self, text: str, after: int = 0) -> int:
        """Wait until the text stands on the screen at `after` or later; give the place behind."""
        await self._changes.until(
            lambda: text in self.screen[after:], WITHIN_S, lambda: f"{text!r} in {self.screen!r}"
        )
        return self.screen.index(text, after) + len(text)

    async def leaves(self) -> int:
        """Wait for the end; the exit code."""
        return await asyncio.wait_for(self._process.wait(), WITHIN_S)

    def _read(self) -> None:
        try:
            self._written += os.read(self._master, 65536)
        except OSError:  # the command has left its terminal
            asyncio.get_running_loop().remove_reader(self._master)
        self._changes.tell()


@asynccontextmanager
async def typed(*arguments: str) -> AsyncIterator[Typed]:
    """Run `talklog …` on a terminal until the end of the block."""
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy", *arguments,
        stdin=slave, stdout=slave, stderr=slave,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "PROMPT_TOOLKIT_NO_CPR": "1"},
        # The terminal's Ctrl-C reaches the process group that owns it.
        preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(slave)
    try:
        yield Typed(master, process)
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
