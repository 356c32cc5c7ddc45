"""Every kind of attacker at once beside a few people: who means harm is told so, nobody else is.

`make attack` is the same with a hundred of each, for as long as is wanted.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.crowd import heard
from tests.attack.report import verdict
from tests.attack.stand import Shape, Stand
from tests.waiting import WITHIN_S

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

# As they are by default, but for what takes minutes to meet, or quick handshakes: where one takes a
# second, eight who come again and again are eight a second, and not the default's twenty.
SETTINGS = {
    "TALKLOG_ADDRESS_READS_PER_MINUTE": "20",
    "TALKLOG_ADDRESS_CONNECTIONS_PER_SECOND": "1",
    "TALKLOG_SHARD_LOG_BYTES": str(1 << 20),
}
ANSWERS = 2
KEYS_READ_MAX = 2 * 5
"""By two gateways: each at its start and once a minute, whatever tokens name."""


async def test_people_get_every_word_while_others_do_all_the_harm_they_can(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    """Each kind of attacker is refused or ended as is promised; no process falls."""
    stand = Stand(Shape(honest=10, foes=1, tokens=(20, 40), rate=10), tmp_path, **SETTINGS)
    async with stand.open():
        async with stand.attacked() as tally:
            await tally.until(lambda: not tally.unmet(), 2 * WITHIN_S)
            await stand.everybody_has(ANSWERS)
        seen = await stand.settle()
    tell("\n".join([heard(tally), *verdict(seen)]))
    assert tally.failures() == []
    assert seen.verdict.clean, seen.verdict.findings
    assert seen.verified, seen.verify_said
    assert not any(seen.restarts.values()), seen.restarts
    assert seen.raised == []
    assert seen.key_sets_read <= KEYS_READ_MAX
