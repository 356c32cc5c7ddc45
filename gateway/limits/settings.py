"""The settings of every limit; 0 is none."""

from pydantic import Field

from gateway.socket.frame_bucket import PER_SECOND
from schemas.process.connections import Connections


class LimitSettings(Connections):
    """How much one session, one user, one address and all together may ask. See limits.md."""

    messages_per_minute: int = Field(20, ge=0, description="of a session; 0: no limit")
    user_messages_per_minute: int = Field(60, ge=0, description="of a user; 0: no limit")
    address_messages_per_minute: int = Field(600, ge=0, description="of an address; 0: no limit")
    user_running: int = Field(
        20, ge=0, description="messages of a user that have not ended; 0: no limit"
    )
    user_tokens_per_day: int = Field(
        0, ge=0, description="of prompts and answers of a user, UTC days; 0: no limit"
    )
    connections_per_session: int = Field(10, ge=0, description="open sockets; 0: no limit")
    connections_per_user: int = Field(20, ge=0, description="open sockets; 0: no limit")
    connections_per_address: int = Field(200, ge=0, description="open sockets; 0: no limit")
    connections: int = Field(20_000, ge=0, description="open sockets of this gateway; 0: no limit")
    address_connections_per_second: int = Field(
        20, ge=0, description="new sockets of an address, ten times as many at once; 0: no limit"
    )
    connections_per_second: int = Field(
        250,
        ge=0,
        description="new sockets of this gateway; more wait for their turn; 0: no limit",
    )
    address_reads_per_minute: int = Field(
        1_200,
        ge=0,
        description="snapshots and pages of history, and as many 128 KiB of scans; 0: no limit",
    )
    busy_after_s: float = Field(
        300.0, ge=0, description="what would wait longer for a worker is refused; 0: nothing is"
    )
    frames_per_second: int = Field(
        PER_SECOND,
        ge=1,
        description="of a user (else of a socket), four times as many at once; read later then",
    )
    unidentified_connections: int = Field(
        1_000, ge=1, description="of whom it is not known who they are; more: the oldest goes"
    )
