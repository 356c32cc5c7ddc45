"""How long the persister waits for Postgres, and Postgres for the persister."""

from dataclasses import dataclass

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


TIMEOUTS = Timeouts(statement_s=20.0, lock_s=5.0, idle_in_transaction_s=10.0)
"""Those of a persister whose settings say nothing else."""
