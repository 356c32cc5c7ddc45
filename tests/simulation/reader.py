"""A client: a tab that is cut off, comes back on any gateway, and sends what it is not sure of."""

from collections.abc import Callable
from functools import partial

from schemas.events import Cancel, UserEvent, UserMessage
from schemas.transcript import Message
from tests.simulation.gateway import Connection, Gateway
from tests.simulation.truth import Told, Truth, whole_text
from tests.simulation.view import View
from tests.simulation.world import Process, World, at


class Reader:
    """One tab. Whatever happens, its text is one beginning gone on with, and never shrinks."""

    def __init__(
        self,
        name: str,
        session_id: str,
        history: int,
        world: World,
        truth: Truth,
        gateways: Callable[[], list[Gateway]],
    ) -> None:
        self.process = Process(name)
        self.session_id = session_id
        self.world = world
        self.truth = truth
        self.view = View()
        self.texts: dict[str, str] = {}  # as they were shown last
        self.connection: Connection | None = None
        self._gateways = gateways
        self.history = history
        self._connect()

    @property
    def settled(self) -> bool:
        """Whether it has its place, and nothing of its own is open."""
        idle = self.connection is not None and self.connection.idle
        return idle and self.view.whole and not self.waiting

    @property
    def waiting(self) -> dict[str, str]:
        """Own messages that have no state; but one whose end was trimmed gets none any more."""
        own = self.view.own.items()
        return {m: s for m, s in own if s != "ended" and not self.truth.messages[m].trimmed}

    def close(self) -> None:
        self.process.alive = False
        if self.connection is not None:
            self.connection.close()

    # -- the socket

    def _connect(self) -> None:
        gateways = self._gateways()
        if not gateways:
            self._after(0.5, self._connect)
            return
        gateway = self.world.random.choice(gateways)
        cursor = self.view.resume_cursor
        self.connection = gateway.connect(self, cursor, self.history)
        self.world.say(self.process.name, f"connects to {gateway.process.name} with {cursor}")

    def lost(self, connection: Connection) -> None:
        if connection is self.connection:
            self.connection = None
            self._after(self.world.delay(0.3), self._connect)

    def cut(self) -> None:
        if self.connection is not None:
            self.world.say(self.process.name, "is cut off")
            self.connection.close()

    def slow_down(self, for_s: float) -> None:
        if self.connection is not None:
            self.connection.wire.slow_down(for_s)

    # -- talking

    def say(self, told: Told) -> None:
        self.view.submitted(told.message_id)
        self._submit(told)

    def cancel(self, told: Told) -> None:
        if self.connection is not None and told.offset is not None:
            self.connection.submit(
                Cancel(
                    session_id=told.session_id,
                    message_id=told.message_id,
                    created_at=at(self.world.now_ms),
                )
            )

    def _submit(self, told: Told) -> None:
        if self.connection is not None:
            self.connection.submit(
                UserMessage(
                    session_id=told.session_id,
                    message_id=told.message_id,
                    created_at=at(self.world.now_ms),
                    content=told.content,
                    on_busy=told.on_busy,
                )
            )

    def is_message(self, event: UserEvent) -> bool:
        return isinstance(event, UserMessage)

    # -- reading

    def receive(self, data: bytes) -> None:
        shown = [m for m in self.view.transcript.messages.values() if m.terminal]
        is_snapshot = data.startswith(b'{"type":"snapshot"')
        message_id, again = self.view.receive(data)
        if is_snapshot:
            self._check_still_there(shown)
        if b'"accepted"' in data:
            self._accepted(data)
        if message_id is not None:
            self._check(message_id)
        if self.view.broken:
            self.cut()
            return
        for each in again if "not-sent-again" not in self.world.broken else ():
            self._after(self.world.delay(0.05), partial(self._submit, self.truth.messages[each]))

    def _check_still_there(self, shown: list[Message]) -> None:
        """What has ended since it was connected does not vanish from the screen.

        A second terminal of what had ended before may have been on it: that one did not count.
        """
        assert self.connection is not None
        for message in shown:
            ended_at = self.truth.messages[message.message_id].ended_at
            old = ended_at is not None and ended_at < self.connection.joined_at
            if not old and message.message_id not in self.view.transcript.messages:
                self.truth.broken(f"{message.message_id} vanishes from {self.process.name}")

    def _accepted(self, data: bytes) -> None:
        for message_id, state in self.view.own.items():
            if state == "accepted":
                self.truth.messages[message_id].accepted = True

    def _check(self, message_id: str) -> None:
        """What is on the screen is whole up to where it ends, and what was there before is."""
        message = self.view.transcript.messages[message_id]
        text = message.text
        if text != whole_text(message_id, text) or message.damaged:
            self.truth.broken(f"{self.process.name} reads {message_id} as {text!r}")
        before = self.texts.get(message_id, "")
        if not self.view.whole:
            return  # what was shown before stays until the snapshot is there
        if not text.startswith(before) and not self.truth.messages[message_id].begun_anew:
            self.truth.broken(f"{self.process.name} reads {text!r} after {before!r}")
        self.texts[message_id] = text

    def check_end(self) -> None:
        """When all has come to rest, it shows every message as it ended."""
        name = self.process.name
        view = self.view
        if not view.whole:
            self.truth.broken(f"{name} has no snapshot")
        for message in view.transcript.messages.values():
            told = self.truth.messages[message.message_id]
            if not message.terminal or message.text != told.text:
                self.truth.broken(f"{name} shows {message}, not {told.text!r} {told.terminal}")
        for told in self.truth.sessions.get(self.session_id, []):
            shown = told.message_id in view.transcript.messages
            if not shown and told.message_id not in view.ended and not told.trimmed:
                self.truth.broken(f"{name} knows nothing of {told.message_id}")
        for message_id, state in self.waiting.items():
            self.truth.broken(f"{name} waits for its own {message_id}, which is {state}")

    def _after(self, delay_s: float, function: Callable[..., None]) -> None:
        self.world.after(delay_s, function, by=self.process)
