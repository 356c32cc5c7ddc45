"""A connection of the terminal's: the message that it was closed for is not sent again."""

import pytest

from deploy.chat.link import Address, Link, Stopped
from schemas.close_codes import CloseCode


class Closing(Link):
    """Each connection submits what is unsettled, then closes: too big, then for good."""

    def __init__(self) -> None:
        super().__init__(Address("ws://x", "s", 0), lambda: None)
        self.went_out: list[list[str]] = []

    async def _one_connection(self) -> tuple[int, str, bool]:
        self._submitted.clear()
        for own in self.view.unsettled():
            await self._submit(own.message_id)
        self.went_out.append(sorted(self._submitted))
        too_big = "big" in self._submitted or not self._submitted
        return (CloseCode.FRAME_TOO_BIG if too_big else CloseCode.FORBIDDEN), "", False


async def test_the_largest_message_of_a_socket_closed_with_1009_has_failed() -> None:
    link = Closing()
    link.view.submitted("small", "x")
    link.view.submitted("big", "y" * 300_000)
    with pytest.raises(Stopped, match="not allowed"):
        await link.run()
    assert link.went_out == [["big", "small"], ["small"]]
    assert [own.submit for own in link.view.own.values()] == ["sending", "failed"]


async def test_a_socket_closed_with_1009_for_nothing_of_ours_stays_closed() -> None:
    link = Closing()
    with pytest.raises(Stopped, match="too big"):
        await link.run()
    assert link.went_out == [[]]
