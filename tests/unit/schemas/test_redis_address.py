"""Addresses of a Redis: of one server, of sentinels, of a cluster."""

import pytest

from schemas.redis_address import BadAddress, RedisAddress, redis_address

LOGIN = "u:p%20w"

GOOD = [
    ("redis://h", RedisAddress("one", "redis://h")),
    ("unix:///run/redis", RedisAddress("one", "unix:///run/redis")),
    (f"rediss://{LOGIN}@h:1/2", RedisAddress("one", f"rediss://{LOGIN}@h:1/2", tls=True)),
    (
        f"redis+sentinel://{LOGIN}@a:1,b/talk/3?sentinel_password=x",
        RedisAddress(
            "sentinel",
            f"redis://{LOGIN}@a:1/3?sentinel_password=x",
            (("a", 1), ("b", 26379)),
            "talk",
        ),
    ),
    (
        "rediss+cluster://[::1]:7,n2/",
        RedisAddress("cluster", "rediss://[::1]:7", (("::1", 7), ("n2", 6379)), tls=True),
    ),
]

BAD = [
    ("http://h", "no address"),
    ("redis+sentinel://a:1", "master's name"),
    ("redis+sentinel://a:1/talk/x", "master's name"),
    ("redis+cluster://a/1", "one database"),
    ("redis+cluster://a:99999", "is not host:port"),
    ("redis+sentinel://a:1,,b/talk", "is not host:port"),
]


@pytest.mark.parametrize(("url", "address"), GOOD)
def test_an_address_says_what_is_there(url: str, address: RedisAddress) -> None:
    assert redis_address(url) == address


@pytest.mark.parametrize(("url", "why"), BAD)
def test_what_is_none_is_told_without_its_password(url: str, why: str) -> None:
    url = url.replace("://", "://somebody:hush@", 1)
    with pytest.raises(BadAddress, match=why) as told:
        redis_address(url)
    assert "hush" not in str(told.value)
