"""A WebSocket: frames in order, each a little later; it may be cut, and its reader may be slow."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from tests.simulation.world import Process, World

T = TypeVar("T")
BUFFER_FRAMES = 8


class Wire(Generic[T]):
    """One direction. `take` is called in process `to` for each frame."""

    def __init__(self, world: World, to: Process, take: Callable[[T], None]) -> None:
        self._world = world
        self._to = to
        self._take = take
        self._frames: deque[T] = deque()
        self._moving = False
        self._slow = False
        self.open = True
        self.on_writable: Callable[[], None] = lambda: None

    @property
    def writable(self) -> bool:
        return self.open and len(self._frames) < BUFFER_FRAMES

    @property
    def idle(self) -> bool:
        """Whether everything has arrived."""
        return self.open and not self._frames

    def push(self, frame: T) -> None:
        if self.open:
            self._frames.append(frame)
            self._move()

    def cut(self) -> None:
        self.open = False
        self._frames.clear()

    def slow_down(self, for_s: float) -> None:
        """Nobody reads for a while."""
        self._slow = True
        self._world.after(for_s, self._speed_up)

    def _speed_up(self) -> None:
        self._slow = False
        self._move()

    def _move(self) -> None:
        if self._frames and not self._moving and not self._slow:
            self._moving = True
            self._world.after(self._world.delay(0.003), self._arrive, by=self._to)

    def _arrive(self) -> None:
        self._moving = False
        if not self.open or not self._frames:
            return
        was_full = len(self._frames) >= BUFFER_FRAMES
        self._take(self._frames.popleft())
        self._move()
        if was_full:
            self.on_writable()
