"""The persister's settings."""

from pydantic import Field

from schemas.process.connections import Connections


class PersisterSettings(Connections):
    """How much goes into one transaction, how lazily the log is read, and what is waited for."""

    batch_max_records: int = Field(10_000, ge=1, le=1_000_000, description="records a transaction")
    batch_max_bytes: int = Field(8 << 20, ge=1024, description="bytes of records a transaction")
    fetch_min_bytes: int = Field(64 << 10, ge=1, description="the broker waits for so many bytes")
    fetch_wait_ms: int = Field(500, ge=1, le=60_000, description="but not longer than this")
    cache_max_answers: int = Field(50_000, ge=100, description="answers remembered")
    statement_timeout_s: float = Field(20.0, gt=0, description="Postgres gives a statement up")
    lock_timeout_s: float = Field(5.0, gt=0, description="Postgres gives a wait for a lock up")
    idle_in_transaction_s: float = Field(
        10.0, gt=0, description="a writer that is stopped in a transaction is ended after this"
    )
    grace_s: float = Field(5.0, ge=0, description="at SIGTERM the batch under way may take so long")
