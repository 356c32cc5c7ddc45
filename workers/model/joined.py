"""The deltas of a model that goes on with a text: only what follows the text, joined to it."""

from workers.model.continuation import CannotContinue, Continuation
from workers.model.faults import FaultKind, ModelFault
from workers.model.seam import Diverged, Seam
from workers.model.stream import Delta, Deltas, Finished, Reasoning, Text

_INTERNAL_ERROR = 500


def ends_continued(failed: ModelFault) -> Finished | None:
    """Say how an answer with text ends whose continuing was not taken; None: by that fault.

    Raises:
        CannotContinue: perhaps it is only the continuing that the server fails at.
    """
    if failed.kind is FaultKind.CONTEXT_TOO_LONG:
        return Finished("length", None)  # the question fitted, and the text so far fills the rest
    if failed.status == _INTERNAL_ERROR:
        raise CannotContinue from failed
    return None


class Joined:
    """Gives what follows `so_far`. Raises CannotContinue; ModelFault as `deltas`."""

    def __init__(self, deltas: Deltas, so_far: str, continuation: Continuation) -> None:
        self._deltas = deltas
        self._seam = Seam(so_far)
        self._continuation = continuation
        self._finished: Finished | None = None  # to be given after the rest of the text

    @property
    def is_backlogged(self) -> bool:
        """Whether more may have come than was read."""
        return self._deltas.is_backlogged

    def read(self, now_s: float) -> Delta | None:
        """Give what has come since, without waiting. None: nothing new."""
        if self._finished is not None:
            return self._finished
        while (delta := self._deltas.read(now_s)) is not None:
            if isinstance(delta, Reasoning):
                return delta  # no prompt repeats it, so there is nothing to join it to
            try:
                new = self._new(delta)
            except Diverged:
                self._continuation.failed()
                raise CannotContinue from None
            if isinstance(delta, Finished):
                if not new:
                    return delta
                self._finished = delta
            if new:
                return Text(new)
        return None

    def _new(self, delta: Text | Finished) -> str:
        if isinstance(delta, Text):
            return self._seam.take(delta.content)
        if self._seam.repeats and delta.broken_off is not None:
            raise CannotContinue  # it may have been about to go on: nothing is learned
        return self._seam.end()


class Only:
    """One delta, where no model is asked."""

    is_backlogged = False

    def __init__(self, delta: Delta) -> None:
        self._delta = delta

    def read(self, now_s: float) -> Delta | None:
        """Give it."""
        return self._delta
