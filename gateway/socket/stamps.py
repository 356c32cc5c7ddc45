"""The clock and the dice of a connection, where it meets them."""

import random
import time
from datetime import UTC, datetime

from ulid import ULID

from schemas.events import iso
from schemas.limits import HEARTBEAT_S

HEARTBEAT_LEAST = 0.7


def utc_now() -> str:
    """Give the wall clock's time as events carry it."""
    return iso(datetime.fromtimestamp(time.time(), UTC))


def new_id() -> str:
    """Give an id for a message whose client gave none."""
    return str(ULID())


def heartbeat_s() -> float:
    """Give after how much silence a connection beats.

    Those that joined in one moment, after a gateway has gone, do not beat in one moment.
    """
    return HEARTBEAT_S * random.uniform(HEARTBEAT_LEAST, 1.0)  # noqa: S311
