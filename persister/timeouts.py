"""How long the persister waits for Postgres, and Postgres for the persister."""

from dataclasses import dataclass

from schemas.session_limits import SessionLimits

CONNECT_S = 5.0
ANSWER_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `answer_s` bounds every call from this side, whatever the server does."""

    statement_s: float
    lock_s: float
    idle_in_transaction_s: float

    @property
    def answer_s(self) -> float:
        """Longer than the server's own, so that its error is heard where it can be."""
        return self.statement_s + ANSWER_MARGIN_S

    def limits(self, search_path: str | None, *, pooled: bool) -> SessionLimits:
        """Give what Postgres is told of this."""
        seconds = {
            "statement_timeout": self.statement_s,
            "lock_timeout": self.lock_s,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_s,
        }
        values: dict[str, int | str] = {name: int(each * 1000) for name, each in seconds.items()}
        return SessionLimits(values | ({"search_path": search_path} if search_path else {}), pooled)


TIMEOUTS = Timeouts(statement_s=20.0, lock_s=5.0, idle_in_transaction_s=10.0)
"""Those of a persister whose settings say nothing else."""
