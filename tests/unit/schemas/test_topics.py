"""Every client of Kafka must find a session on the same shard."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics


@given(st.binary(max_size=300))
def test_murmur2_is_that_of_the_clients(data: bytes) -> None:
    assert topics.murmur2(data) == aiokafkas_murmur2(data) & 0xFFFFFFFF


@given(st.text(alphabet="abcXYZ019._:-", min_size=1, max_size=255), st.integers(1, 64))
def test_the_shard_is_the_partition_that_a_client_would_choose(session: str, shards: int) -> None:
    partitions = list(range(shards))
    chosen = DefaultPartitioner()(session.encode(), partitions, partitions)
    assert topics.shard_of(session, shards) == chosen


@pytest.mark.parametrize(
    ("session", "shard"), [("abc123", 3), ("test_session", 3), ("talklog-ready", 4)]
)
def test_a_session_stays_where_it_was(session: str, shard: int) -> None:
    assert topics.shard_of(session, 8) == shard


def test_the_two_session_topics_have_the_same_partitions() -> None:
    made = {topic.name: topic for topic in topics.topics(12, 2)}
    assert set(made) == {"user_messages", "ai_response_chunks", "dead_letters"}
    assert made["user_messages"].partitions == made["ai_response_chunks"].partitions == 12


def test_time_in_every_topic_only_goes_forward() -> None:
    for topic in topics.topics(8, 2):
        assert topic.config["message.timestamp.type"] == "LogAppendTime"
        assert topic.config["min.insync.replicas"] == "2"
        assert topic.config["cleanup.policy"] == "delete"
        assert int(topic.config["retention.ms"]) == 7 * 24 * 3600 * 1000
        assert int(topic.config["max.message.bytes"]) == 1024 * 1024
