"""What a tier's scripts call, its user in Redis may do; a script is held to its caller's rights."""

import re
from pathlib import Path

import pytest

import schemas
from schemas.redis_rights import RIGHTS

ROOT = Path(schemas.__file__).parent.parent


@pytest.mark.parametrize(("tier", "room"), [("gateway", "gateway"), ("worker", "workers")])
def test_every_command_of_a_tiers_scripts_is_among_its_rights(tier: str, room: str) -> None:
    text = "".join(file.read_text() for file in (ROOT / room).rglob("*.lua"))
    called = {name.lower() for name in re.findall(r"redis\.call\('([A-Z]+)'", text)}
    assert called
    assert called - set(re.findall(r"\+(\w+)", RIGHTS[tier])) == set()


@pytest.mark.parametrize("tier", ["gateway", "worker"])
def test_a_tier_may_nothing_that_is_not_named(tier: str) -> None:
    words = RIGHTS[tier].split()
    assert "-@all" in words
    assert not [word for word in words if word in ("~*", "+@all", "allkeys", "allcommands")]
