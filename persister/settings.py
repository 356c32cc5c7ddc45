"""The persister's settings."""

from pydantic import Field

from persister.batch import BATCH_MAX_RECORDS
from persister.timeouts import TIMEOUTS, Timeouts
from schemas.process.connections import Connections


class PersisterSettings(Connections):
    """How much goes into one transaction, how lazily the log is read, and what is waited for."""

    batch_max_records: int = Field(
        BATCH_MAX_RECORDS, ge=1, le=1_000_000, description="records a transaction"
    )
    batch_max_bytes: int = Field(8 << 20, ge=1024, description="bytes of records a transaction")
    fetch_min_bytes: int = Field(
        256 << 10, ge=1, description="while records come the broker waits for so many bytes"
    )
    fetch_wait_ms: int = Field(500, ge=1, le=60_000, description="but not longer than this")
    cache_max_answers: int = Field(50_000, ge=100, description="answers remembered")
    statement_timeout_s: float = Field(
        TIMEOUTS.statement_s, gt=0, description="Postgres gives a statement up"
    )
    lock_timeout_s: float = Field(
        TIMEOUTS.lock_s, gt=0, description="Postgres gives a wait for a lock up"
    )
    idle_in_transaction_s: float = Field(
        TIMEOUTS.idle_in_transaction_s,
        gt=0,
        description="a writer that is stopped in a transaction is ended after this",
    )
    keep_days: float = Field(
        0,
        ge=0,
        le=36_500,
        description="rows of messages that ended longer ago leave, once the log holds nothing of"
        " them; 0: never",
    )
    keep_look_every_s: float = Field(
        600, gt=0, description="so often it is looked for rows that may leave"
    )
    grace_s: float = Field(5.0, ge=0, description="at SIGTERM the batch under way may take so long")

    def timeouts(self) -> Timeouts:
        """What the store needs of this."""
        return Timeouts(
            statement_s=self.statement_timeout_s,
            lock_s=self.lock_timeout_s,
            idle_in_transaction_s=self.idle_in_transaction_s,
        )
