"""What a tier's scripts call is among its rights: one command that is not looks like no Redis."""

import re
from pathlib import Path

import pytest

from schemas import redis_keys
from schemas.redis_rights import RIGHTS

ROOT = Path(__file__).parents[3]
FOLDERS = {"gateway": ROOT / "gateway", "worker": ROOT / "workers"}
# What is not called by a script: by a pipeline, or as a command of its own.
ALONE = {"gateway": {"EXISTS", "HGETALL", "HDEL", "HSET", "EXPIRE"}, "worker": {"HSET", "HDEL"}}
KEYS = {
    "gateway": [
        redis_keys.claim(1, "s", "m"),
        redis_keys.rate("s"),
        redis_keys.limits("user", "u"),
        redis_keys.load(),
        redis_keys.gateways(),
    ],
    "worker": [
        redis_keys.session("s"),
        redis_keys.limits("user", "u"),
        redis_keys.counted("u", "s m"),
        redis_keys.load(),
        redis_keys.session("s"),
        redis_keys.forgotten("s"),
    ],
}


@pytest.mark.parametrize("tier", list(FOLDERS))
def test_every_command_that_a_tier_calls_is_allowed(tier: str) -> None:
    scripts = [path.read_text() for path in FOLDERS[tier].rglob("*.lua")]
    called = {name for text in scripts for name in re.findall(r"'([A-Z]{3,})'", text)}
    assert {"HSET", "TIME"} <= called
    allowed = set(RIGHTS[tier].upper().split())
    assert {f"+{name}" for name in (called - {"PX", "EX", "NX"}) | ALONE[tier]} - allowed == set()


@pytest.mark.parametrize("tier", list(KEYS))
def test_every_key_that_a_tier_uses_is_allowed(tier: str) -> None:
    patterns = [part[1:] for part in RIGHTS[tier].split() if part.startswith("~")]
    for key in KEYS[tier]:
        fits = [each for each in patterns if re.fullmatch(each.replace("*", ".*"), key)]
        assert fits, key
