"""Topics that are not what the design rests on are named, with setting and value."""

import pytest

from deploy.operators.topics import differences
from schemas.log.topic_check import Found
from schemas.topic_settings import oddities
from schemas.topics import topics

LOG = topics(8, 1)[1]
GOOD = LOG.config


def test_a_good_topic_has_no_differences() -> None:
    assert differences(LOG, Found(8, GOOD)) == []


def test_a_missing_topic_is_named() -> None:
    [odd] = differences(LOG, None)
    assert (odd.text, odd.wrong) == ("topic ai_response_chunks does not exist", True)


def test_everything_wrong_is_said_at_once() -> None:
    config = {
        "message.timestamp.type": "CreateTime",
        "retention.ms": "60000",
        "cleanup.policy": "compact",
    }
    odd = differences(LOG, Found(4, GOOD | config))
    assert all(each.wrong for each in odd)
    assert "has 4 partitions, expected 8" in odd[0].text
    assert [each.text.split(":")[0] for each in odd[1:]] == [
        f"topic ai_response_chunks has {setting}"
        for setting in (
            "cleanup.policy=compact",
            "message.timestamp.type=CreateTime",
            "retention.ms=60000",
        )
    ]


@pytest.mark.parametrize(
    ("name", "value", "replicas", "wrong"),
    [
        ("cleanup.policy", "compact,delete", 1, True),
        ("message.timestamp.type", "CreateTime", 1, True),
        ("retention.ms", "86400000", 1, False),
        ("max.message.bytes", "65536", 1, False),
        ("min.insync.replicas", "1", 3, False),
        ("min.insync.replicas", "2", 1, False),
        ("compression.type", "zstd", 1, False),
    ],
)
def test_each_setting_is_told_by_name_and_value(
    name: str, value: str, replicas: int, wrong: bool
) -> None:
    [odd] = oddities("t", GOOD | {name: value}, replicas)
    assert odd.text.startswith(f"topic t has {name}={value}: ")
    assert odd.wrong is wrong


def test_unlimited_retention_is_long_enough() -> None:
    assert differences(LOG, Found(8, GOOD | {"retention.ms": "-1"})) == []


def test_settings_that_may_not_be_read_are_said_to_be_unknown() -> None:
    [odd] = differences(LOG, Found(8, {}, refused="TopicAuthorizationFailedError"))
    assert not odd.wrong
    assert "TopicAuthorizationFailedError" in odd.text
