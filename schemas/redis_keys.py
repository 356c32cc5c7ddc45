"""The keys in Redis. All of it can be lost: that makes things slower, never wrong.

What stands in braces decides where a key lies on a cluster. One script takes a claim and the rate
of its session, so both are where the session is.
"""

SESSION_TTL_S = 24 * 3600
CLAIM_PENDING_S = 5
"""A publish takes milliseconds. Whose gateway stands still in the middle of one comes to another
after 7 s, and must not wait there once more; a second record of a message joins the first."""
CLAIM_ACCEPTED_S = 24 * 3600


def session(session_id: str) -> str:
    """History of a session: JSON `{"history": [...], "last_updated": ...}`."""
    return f"session:{session_id}"


def claim(epoch: int, session_id: str, message_id: str) -> str:
    """Submit claim of a message: `pending` or `accepted`, with a hash of its content.

    The epoch is in the key: a claim older than the topics would call a message accepted that is in
    no log.
    """
    return f"message:{epoch}:{{{session_id}}}:{message_id}"


def rate(user: str) -> str:
    """Bucket of messages a minute."""
    return f"rate:{{{user}}}"


def connections(user: str) -> str:
    """Count of a user's connections."""
    return f"connections:{user}"
