"""When and what: the stamps that a gateway puts on what it takes."""

import time
from datetime import UTC, datetime

from ulid import ULID

from schemas.events import iso


def utc_now() -> str:
    """Give the wall clock's time as events carry it."""
    return iso(datetime.fromtimestamp(time.time(), UTC))


def new_id() -> str:
    """Give an id for a message whose client gave none."""
    return str(ULID())
