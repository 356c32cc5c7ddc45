"""A connection of the terminal's: what it was closed for, and when silence is asked about."""

import pytest

from deploy.chat import link
from deploy.chat.link import Address, Link, Stopped
from schemas.close_codes import CloseCode


class Closing(Link):
    """Each connection submits what is unsettled, then closes: too big, then for good."""

    def __init__(self) -> None:
        super().__init__(Address("ws://x", "s", 0), lambda: None)
        self.went_out: list[list[str]] = []

    async def _one_connection(self, failures: int) -> tuple[int, str, bool]:
        self._submitted.clear()
        for own in self.view.unsettled():
            await self._submit(own.message_id)
        self.went_out.append(sorted(self._submitted))
        too_big = "big" in self._submitted or not self._submitted
        return (CloseCode.FRAME_TOO_BIG if too_big else CloseCode.FORBIDDEN), "", False


async def test_the_largest_message_of_a_socket_closed_with_1009_has_failed() -> None:
    one = Closing()
    one.view.submitted("small", "x")
    one.view.submitted("big", "y" * 300_000)
    with pytest.raises(Stopped, match="not allowed"):
        await one.run()
    assert one.went_out == [["big", "small"], ["small"]]
    assert [own.submit for own in one.view.own.values()] == ["sending", "failed"]


async def test_a_socket_closed_with_1009_for_nothing_of_ours_stays_closed() -> None:
    one = Closing()
    with pytest.raises(Stopped, match="too big"):
        await one.run()
    assert one.went_out == [[]]


async def test_where_nothing_is_expected_a_gateway_may_be_silent() -> None:
    one = Link(Address("ws://x", "s", 0), lambda: None)
    one.view.joined = one._joined = True
    assert one._patience() is link.PATIENT
    one.view.submitted("m", "hi")
    assert one._patience() is link.EAGER
    one._joined = False  # the next socket has not told yet where it stands
    assert one._patience() is link.PATIENT
