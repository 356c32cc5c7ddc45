"""To whom a limit belongs, and that what is said of it fits."""

import json
from typing import get_args

import pytest

from gateway.limits.rules import WORDS, LimitName, Over, counted_address
from gateway.limits.settings import LimitSettings
from gateway.socket.admission import REASON_MAX_BYTES

NAMES: tuple[LimitName, ...] = get_args(LimitName)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("::1", None),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", None),
        ("unix", None),
    ],
)
def test_an_address_is_counted_by_its_house_and_this_machine_is_not(
    address: str, counted: str | None
) -> None:
    assert counted_address(address) == counted


def test_every_limit_is_a_setting_and_has_words() -> None:
    assert set(NAMES) == set(WORDS) <= set(LimitSettings.model_fields)


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_names_the_limit_its_value_and_the_time(name: LimitName) -> None:
    over = Over(name, 1_000_000_000, 86_400_000)
    assert len(json.dumps(over.reason())) <= REASON_MAX_BYTES
    assert over.reason() == {"retry_after_ms": 86_400_000, "limit": name, "value": 1_000_000_000}
    assert all(part in over.text for part in (name, "1000000000", "86400.0 s"))
