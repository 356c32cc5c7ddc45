"""Which epoch the log is in: the Unix time at which its topics were made.

A cursor, a fence and a claim are valid in one epoch only, so it must be raised whenever the log
begins anew, and must stay the same as long as it does not.
"""

from __future__ import annotations


class UnknownEpoch(Exception):
    """Topics exist that this stack did not make, and nobody said which epoch they are in."""


def epoch_of(*, kept: int | None, given: int | None, made_now: bool, ours: bool, now_s: int) -> int:
    """The epoch of the log that is there now.

    Args:
        kept: the epoch remembered from an earlier start.
        given: TALKLOG_EPOCH, if set.
        made_now: the topics were made a moment ago.
        ours: the brokers belong to this stack alone.
        now_s: Unix time.

    Raises:
        UnknownEpoch: see there.
    """
    if made_now:
        return max(now_s, (kept or 0) + 1, given or 0)
    if given is not None:
        if kept is not None and given < kept:
            raise UnknownEpoch(f"TALKLOG_EPOCH={given} is older than the log's epoch {kept}")
        return given
    if kept is not None:
        return kept
    if ours:
        # A start that was cut off between making the topics and remembering it: they are empty.
        return now_s
    raise UnknownEpoch(
        "the topics exist already: set TALKLOG_EPOCH to the value their other services run with"
    )
