"""Why the gateway closes a socket, and what the client does next.

`gateway/page/reconnect.js` has the same table for browsers; a test holds the two together.
"""

from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes (RFC 6455; 4000 and up are ours)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    FRAME_TOO_BIG = 1009
    SERVICE_RESTART = 1012
    UNAUTHENTICATED = 4001
    FORBIDDEN = 4003
    BAD_SESSION = 4004
    PROTOCOL_ERROR = 4005
    SLOW_CLIENT = 4008
    TOO_MANY = 4009
    IDLE = 4010


RECONNECT = {
    CloseCode.GOING_AWAY,
    CloseCode.SERVICE_RESTART,
    CloseCode.UNAUTHENTICATED,  # with a new token
    CloseCode.SLOW_CLIENT,
    CloseCode.TOO_MANY,  # after retry_after_ms of the reason
    CloseCode.IDLE,  # on demand
}
"""Codes after which a client may connect again, each with its cursor."""
