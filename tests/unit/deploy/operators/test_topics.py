"""Topics that are not what the design rests on are named."""

from deploy.operators.topics import Found, differences
from schemas.topics import topics

LOG = topics(8, 1)[1]
GOOD = {"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"}


def test_a_good_topic_has_no_differences() -> None:
    assert differences(LOG, Found(8, GOOD)) == []


def test_a_missing_topic_is_named() -> None:
    assert differences(LOG, None) == ["topic ai_response_chunks does not exist"]


def test_everything_wrong_is_said_at_once() -> None:
    config = {
        "message.timestamp.type": "CreateTime",
        "retention.ms": "60000",
        "cleanup.policy": "compact",
    }
    lines = differences(LOG, Found(4, config))
    assert len(lines) == 4
    assert "has 4 partitions, expected 8" in lines[0]
    assert "CreateTime" in lines[1]
    assert "60 s" in lines[2]
    assert "compacted" in lines[3]


def test_unlimited_retention_is_long_enough() -> None:
    assert differences(LOG, Found(8, GOOD | {"retention.ms": "-1"})) == []
