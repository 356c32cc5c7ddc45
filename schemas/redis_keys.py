"""The keys in Redis. All of it can be lost: that makes things slower, never wrong.

What stands in braces decides where a key lies on a cluster. One script takes a claim and the rate
of its session, so both are where the session is.
"""

SESSION_TTL_S = 24 * 3600
CLAIM_PENDING_S = 5
"""A publish takes milliseconds. Whose gateway stands still in the middle of one comes to another
after 7 s, and must not wait there once more; a second record of a message joins the first."""
CLAIM_ACCEPTED_S = 24 * 3600
LIMITS_LIVE_S = 2 * 24 * 3600
OPEN_LIVES_S = 900
"""So long at most a message counts as one that has not ended: longer than an answer may take, and
short enough for one whose end could not be noted."""
COUNTED_S = 3600
"""A worker that is given a message again comes sooner than that."""


def session(session_id: str) -> str:
    """History of a session: JSON `{"history": [...], "last_updated": ...}`."""
    return f"session:{session_id}"


def forgotten(session_id: str) -> str:
    """Where in the log a session was forgotten, `epoch.offset`; lies where its history does."""
    return f"forgotten:{{{session(session_id)}}}"


def claim(epoch: int, session_id: str, message_id: str) -> str:
    """Submit claim of a message: `pending` or `accepted`, with a hash of its content.

    The epoch is in the key: a claim older than the topics would call a message accepted that is in
    no log.
    """
    return f"message:{epoch}:{{{session_id}}}:{message_id}"


def rate(session_id: str) -> str:
    """Bucket of messages a minute."""
    return f"rate:{{{session_id}}}"


def limits(kind: str, which: str) -> str:
    """What is counted of a session, a user or an address, over all gateways: a hash.

    `messages`: when its allowance is full again (ms). `open:SESSION MESSAGE`: one that has not
    ended, and until when that is believed (ms). `day`, `spent`: tokens of that UTC day (since
    1970). `at:GATEWAY`: its sockets there.
    """
    return f"limits:{{{kind}:{which}}}"


def counted(user: str, message: str) -> str:
    """Note that the tokens of a message are counted; lies where the user's limits do."""
    return f"limits:{{user:{user}}}:{message}"


def open_message(session_id: str, message_id: str) -> str:
    """Name a message among all of a user's: a session id has no blank."""
    return f"{session_id} {message_id}"


def connections_at(gateway: str) -> str:
    """The field of a gateway's sockets."""
    return f"at:{gateway}"


def load() -> str:
    """What each worker has to do: a hash, by its name (schemas.load)."""
    return "load"


def gateways() -> str:
    """The gateways that live: a hash, until when (ms)."""
    return "gateways"
