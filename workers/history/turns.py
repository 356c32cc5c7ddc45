"""What of a conversation is remembered for the next prompt, and how two memories become one.

A message that has ended and has answer text becomes two turns: what was asked and what was said,
however the answer ended. Each carries the place of the message's end, so that turns can come in
any order and more than once: they are merged by message, in the order of the log, then trimmed.

The trim keeps the newest messages up to the one that reaches the budget, this one included.
Stopping before it would leave room at the old end, and an old message that comes again (a
duplicate, a rebuild) would be put there, with a hole behind it. So whatever the order of the
merges, the outcome is the trim of all turns there ever were (as long as a message ends once; one
that was sent again to topics made anew may leave the memory a little shorter).

Pure. `redis_history.lua` does the same inside Redis; the same cases are run against both.
"""

from collections.abc import Iterable, Sequence

from schemas.transcript import Message
from workers.history.prompt import Turn, estimate_tokens


def turns_of(message: Message, *, epoch: int) -> list[Turn]:
    """The turns of a message of the fold; none while it is not over, or without answer text.

    A message of an earlier epoch without an end is over too: nothing can end it any more.
    """
    last, prompt, text = message.last, message.prompt, message.text
    if last is None or prompt is None or not text:
        return []
    if not message.terminal and last.epoch >= epoch:
        return []
    return turn_pair(message.message_id, prompt.content, text, epoch=last.epoch, offset=last.offset)


def turn_pair(message_id: str, prompt: str, answer: str, *, epoch: int, offset: int) -> list[Turn]:
    """The two turns of a message that ended at this place."""
    return [
        Turn("user", prompt, message_id, offset, epoch),
        Turn("assistant", answer, message_id, offset, epoch),
    ]


def merged(stored: Sequence[Turn], new: Iterable[Turn], budget_tokens: int) -> list[Turn]:
    """One memory out of two: of a message that is in both, the one that ended later counts."""
    messages = _by_message(stored)
    for message_id, turns in _by_message(new).items():
        known = messages.get(message_id)
        if known is None or _place(known) <= _place(turns):
            messages[message_id] = turns
    return _trimmed(sorted(messages.values(), key=_place), budget_tokens)


def _by_message(turns: Iterable[Turn]) -> dict[str, list[Turn]]:
    messages: dict[str, list[Turn]] = {}
    for turn in turns:
        messages.setdefault(turn.message_id, []).append(turn)
    return messages


def _place(turns: list[Turn]) -> tuple[int, int]:
    return turns[0].epoch, turns[0].offset


def _trimmed(messages: list[list[Turn]], budget_tokens: int) -> list[Turn]:
    left = budget_tokens
    first = len(messages)
    while first > 0 and left > 0:
        first -= 1
        left -= sum(estimate_tokens(turn.content) for turn in messages[first])
    return [turn for turns in messages[first:] for turn in turns]
