"""What a worker knows of a session beside the log: its history."""

from workers.actions import MessageKey, Store
from workers.answer import KnownTurns
from workers.settings import WorkerSettings


class SessionMemory:
    """Holds nothing yet: every answer begins without history."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> "SessionMemory":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def turns(self, shard: int, session_id: str) -> KnownTurns:
        """Nothing was said before."""
        return KnownTurns((), full=False)

    async def store(self, action: Store) -> None:
        """Nothing to merge into."""

    def forgo(self, key: MessageKey) -> None:
        """Nothing to rebuild."""

    async def over(self, key: MessageKey) -> tuple[bool, bool]:
        """Nothing is known of old messages."""
        return False, True
