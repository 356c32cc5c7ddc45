"""How one address wants to be asked: which parameters it takes, learned from its refusals. Pure.

A newer model refuses `max_tokens` and wants `max_completion_tokens`; a strict server refuses
`stream_options`, which it doesn't know. Both say so by name, in a 400 or 422. So the first refusal
costs one call more, and all later calls are asked the way that passed.
"""

from typing import Any

from workers.model.faults import FaultKind, ModelFault

_MAX, _NEWER_MAX, _OPTIONS = "max_tokens", "max_completion_tokens", "stream_options"


class Dialect:
    """The form of a request's body, as far as this address is known."""

    def __init__(self) -> None:
        self._names = {_MAX: _MAX}
        self._left_out: set[str] = set()

    def body(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Give the body as this address takes it."""
        return {
            self._names.get(name, name): value
            for name, value in wanted.items()
            if name not in self._left_out
        }

    def learn(self, refused: ModelFault, sent: dict[str, Any]) -> bool:
        """Say whether the refusal names a parameter that was sent and can be asked otherwise."""
        if refused.kind is not FaultKind.REJECTED:
            return False
        words = refused.message
        if _OPTIONS in words and _OPTIONS in sent:
            self._left_out.add(_OPTIONS)
            return True
        if _MAX in sent and _MAX in words:
            self._names[_MAX] = _NEWER_MAX
            return True
        if _NEWER_MAX in sent and _NEWER_MAX in words:
            self._left_out.add(_MAX)
            return True
        return False
