"""Redis: histories and claims. It may be away, and it may forget everything at any moment."""

from collections.abc import Iterable

from tests.simulation.postgres import Away
from tests.simulation.world import World
from workers.history.prompt import Turn
from workers.history.turns import merged


class Redis:
    """Everything here happens in one moment, as a script does."""

    def __init__(self, world: World, budget_tokens: int) -> None:
        self.world = world
        self.away = False
        self.budget_tokens = budget_tokens
        self._histories: dict[str, list[Turn]] = {}
        self.claims: dict[tuple[int, str], str] = {}

    def flush(self) -> None:
        self._histories.clear()
        self.claims.clear()

    def load(self, session_id: str) -> list[Turn] | None:
        self._answer()
        return self._histories.get(session_id)

    def merge(self, session_id: str, turns: Iterable[Turn], *, whole: bool) -> bool:
        """Merge turns; false if there is nothing to merge them into, and they are not the whole."""
        self._answer()
        stored = self._histories.get(session_id)
        if stored is None and not whole and "script-makes-the-key" not in self.world.broken:
            return False
        if "history-appended" in self.world.broken:
            self._histories[session_id] = [*(stored or ()), *turns]
        else:
            self._histories[session_id] = merged(stored or (), turns, self.budget_tokens)
        return True

    def forget(self, session_id: str) -> None:
        self._answer()
        self._histories.pop(session_id, None)

    def _answer(self) -> None:
        if self.away:
            raise Away
