"""The conversation on a terminal: prompt, stream the answer, prompt again.

There is no prompt while an answer streams, so the two never write over each other. What other tabs
do meanwhile is shown before the next prompt, each message whole.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console
from rich.text import Text
from ulid import ULID

from deploy.chat.link import Address, Link, Stopped
from deploy.chat.screen import HELP, command_of, last_line
from deploy.chat.waiting import ANSWER_S, JOIN_S, until
from deploy.chat.written import Piece, Written, whole
from deploy.operators.tooling.conversation_text import harmless
from schemas.limits import CONTENT_MAX_BYTES
from schemas.process.exit_codes import EXIT_FAILED
from schemas.transcript import Message


async def converse(address: Address) -> int:
    """Chat until the person leaves; the exit code."""
    changed = asyncio.Event()
    link = Link(address, changed.set)
    running = asyncio.create_task(link.run())
    screen = _Terminal(address.session_id, link, changed, running)
    try:
        screen.dim(f"session {address.session_id}; Ctrl-C stops an answer, again leaves; /help")
        await until(lambda: link.view.joined, changed, running, JOIN_S)
        await screen.rounds()
    except Stopped as error:
        screen.dim(str(error))
        return EXIT_FAILED
    except TimeoutError:
        screen.dim(f"no connection: {link.state}")
        return EXIT_FAILED
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return 0


class _Terminal:
    """What has been shown, and what comes next."""

    def __init__(
        self, session_id: str, link: Link, changed: asyncio.Event, running: asyncio.Task[None]
    ) -> None:
        self._session_id = session_id
        self._link = link
        self._changed = changed
        self._running = running
        self._console = Console(highlight=False, soft_wrap=True)
        self._shown: set[str] = set()
        self._shown_state = ""

    async def rounds(self) -> None:
        """Prompt and answer, until Ctrl-C or Ctrl-D at the prompt."""
        prompt: PromptSession[str] = PromptSession()
        while True:
            self._show_others()
            try:
                with patch_stdout():
                    content = await prompt.prompt_async("> ", bottom_toolbar=self._toolbar)
            except (EOFError, KeyboardInterrupt):
                return
            if not content.strip():
                continue
            if (command := command_of(content)) is not None:
                if command == "quit":
                    return
                self._obey(command)
                continue
            if len(content.encode(errors="replace")) > CONTENT_MAX_BYTES:
                self.dim(f"too long: the limit is {CONTENT_MAX_BYTES} bytes")
                continue
            if not await self._answer(content):
                return

    def dim(self, line: str) -> None:
        """Say something that is not part of the conversation."""
        self._console.print(Text(harmless(line), style="dim"))

    def _obey(self, command: str) -> None:
        if command == "session":
            self.dim(self._session_id)
        elif command == "help":
            for line in HELP:
                self.dim(line)
        else:
            self.dim(f"there is no /{command}: /help lists what there is")

    def _toolbar(self) -> str:
        return f" {self._link.state}"

    async def _answer(self, content: str) -> bool:
        """Ask, and write the answer as it comes; False if the person leaves."""
        message_id = str(ULID())
        self._shown.add(message_id)
        if hold_s := self._link.held_s():
            self.dim(f"[it is sent in {hold_s:.0f} s]")
        await self._link.ask(message_id, content)
        task = asyncio.create_task(self._stream(message_id))
        stops = 0

        def on_interrupt() -> None:
            nonlocal stops
            stops += 1
            if stops > 1:
                task.cancel()
            else:
                stopping.append(loop.create_task(self._link.cancel(message_id)))

        stopping: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, on_interrupt)
        try:
            await asyncio.wait({task})
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            task.cancel()
            await asyncio.gather(task, *stopping, return_exceptions=True)
        if task.cancelled():
            return False
        task.result()
        return True

    async def _stream(self, message_id: str) -> None:
        written = Written()
        view = self._link.view
        erased = view.erased

        def step() -> bool:
            message = view.transcript.messages.get(message_id)
            if message is not None:
                self._write(written.more(message))
            if (wait := view.waits.pop(message_id, None)) is not None:
                self.dim(f"[{wait[0] - 1} wait before this one: about {wait[1] / 1000:.0f} s]")
            self._say_state(clean=written.clean)
            return view.over(message_id) or view.erased > erased

        await until(step, self._changed, self._running, ANSWER_S)
        self._write(written.end())
        own, message = view.own.get(message_id), view.transcript.messages.get(message_id)
        line = last_line(message) if message else (own and own.problem)
        line = line if view.erased == erased else "this conversation was erased"
        if line:
            self.dim(line)

    def _write(self, pieces: Iterable[Piece]) -> None:
        for text, style in pieces:
            self._console.out(text, end="", style=style or None, highlight=False)
        self._console.file.flush()

    def _say_state(self, *, clean: bool) -> None:
        """Name a change of the connection; in the middle of a line it begins one of its own."""
        state = self._link.state
        if state != self._shown_state and (self._shown_state or state != "connected"):
            self._write([] if clean else [("\n", "")])
            self.dim(f"[{state}]")
        self._shown_state = state

    def _show_others(self) -> None:
        """Show each ended message that is not shown yet, whole: history, and other tabs'."""
        others: list[Message] = []
        for message in self._link.view.transcript.messages.values():
            if message.terminal and message.message_id not in self._shown:
                self._shown.add(message.message_id)
                others.append(message)
        for message in others:
            self._write(whole(message))
