"""What a batch changes in user_messages: what was said, and who asked that its answer be stopped.

The first record of a message counts, and behind it the first cancel: what comes before a message's
own record stops nothing. Both come by one topic, so it does not depend on how far the other one has
been read, nor on the batches.
"""

from persister.changes import CancelRow, Key, PromptRow
from schemas.events import Cancel, Prompt, SessionEvent, UserEvent
from schemas.transcript import Place


class Said:
    """The rows of one batch."""

    def __init__(self) -> None:
        self._prompts: dict[Key, PromptRow] = {}
        self._cancels: dict[Key, CancelRow] = {}

    def take(self, shard: int, place: Place, event: UserEvent) -> None:
        """Take the next record of user_messages."""
        key, epoch, offset = (event.session_id, event.message_id), place.epoch, place.offset
        row = self._prompts.get(key)
        if row is not None and row.log_offset is not None:
            row = row._replace(seen_epoch=epoch, seen_offset=offset)
            if isinstance(event, Cancel) and row.cancelled_at is None:
                row = row._replace(cancelled_by=event.user, cancelled_at=event.created_at)
            self._prompts[key] = row
        elif isinstance(event, Cancel):
            # For the row that is stored, if one is: what comes behind it here changes nothing.
            first = self._cancels.get(key) or CancelRow(
                *key, event.user, event.created_at, epoch, offset
            )
            self._cancels[key] = first._replace(seen_epoch=epoch, seen_offset=offset)
        else:
            self._prompts[key] = PromptRow(
                *key,
                event.content,
                event.user,
                event.created_at,
                shard,
                epoch,
                offset,
                epoch,
                offset,
            )

    def told_by(self, shard: int, event: SessionEvent) -> None:
        """Take the first event of an answer: it brings the prompt, unless its record was read."""
        key = (event.session_id, event.message_id)
        if key in self._prompts:
            return
        prompt: Prompt | None = getattr(event, "prompt", None)
        # A writer may have left out the prompt: the view needs a row for every answer all the same.
        content = prompt.content if prompt else ""
        created_at = prompt.created_at if prompt else event.created_at
        self._prompts[key] = PromptRow(
            *key, content, None, created_at, shard, None, None, None, None
        )

    def forget(self, session_id: str, said_before: Place) -> None:
        """Take out what was said in the session before that place."""
        for key, row in list(self._prompts.items()):
            known = row.log_offset is not None
            if key[0] == session_id and (
                not known or Place(row.epoch or 0, row.log_offset or 0) < said_before
            ):
                del self._prompts[key]
        for key, cancel in list(self._cancels.items()):
            # Of several the first stands here, and the place of the last. A row that both are of is
            # of before the first: if that is forgotten, so is the row.
            if key[0] == session_id and Place(cancel.seen_epoch, cancel.seen_offset) < said_before:
                del self._cancels[key]

    def prompts(self) -> list[PromptRow]:
        """Give the rows that are new, or said again."""
        return list(self._prompts.values())

    def cancels(self) -> list[CancelRow]:
        """Give what cancels change in rows that are stored, before `prompts` are written."""
        return list(self._cancels.values())
