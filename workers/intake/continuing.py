"""Does the next attempt at an answer go on with the text that is there, or begin anew? Pure.

It goes on wherever it can: what people have read stays, and is not paid for twice. Also where no
text is known: what the log holds when the start lands decides, and the attempt before may have
written until then. It begins anew where a part of the text is missing, where the last attempt has
said that its model can't go on with it, and where two starts have died in their first moments:
perhaps it is this text that kills its process.
"""

from workers.intake.actions import MessageKey
from workers.intake.shard_fold import ShardFold

MUTE_DEATHS_ANEW = 2


def continued_by_next(fold: ShardFold | None, key: MessageKey, *, possible: bool) -> str | None:
    """Give the attempt whose text the next one goes on with; None: it begins anew.

    `possible`: the model may be asked to.
    """
    view = fold.view(key) if fold is not None and possible else None
    if fold is None or view is None or view.damaged:
        return None
    if fold.told_anew(key) or fold.mute_deaths(key) >= MUTE_DEATHS_ANEW:
        return None
    return view.attempt
