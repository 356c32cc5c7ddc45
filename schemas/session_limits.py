"""What Postgres is asked to give up after how long, and how it is told. Pure.

By itself a connection is told once, at its start. Behind a pooler that lends connections for one
transaction (PgBouncer's transaction mode) nobody has a connection of his own: what is said at the
start is refused, what is set for a session is set for others, and a statement that was prepared is
not there. So each transaction says it, for itself, and nothing is prepared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Names of Postgres' settings with their values; what ends in `_timeout` is in milliseconds.

    `pooled`: behind a pooler in transaction mode.
    """

    values: Mapping[str, int | str]
    pooled: bool

    def connection(self) -> dict[str, Any]:
        """Give what a connection of psycopg's is made with."""
        if self.pooled:
            return {"prepare_threshold": None}
        return {"options": " ".join(f"-c {name}={value}" for name, value in self.values.items())}

    def transaction(self) -> LiteralString | None:
        """Give the statement that a transaction begins with; None: the connection was told."""
        return self.beginning if self.pooled else None

    @property
    def beginning(self) -> LiteralString:
        """The statement that tells them to the transaction that it is in, and to no other."""
        calls = (f"set_config('{name}', '{value}', true)" for name, value in self.values.items())
        return f"SELECT {', '.join(calls)}"  # of the program's own names and numbers
