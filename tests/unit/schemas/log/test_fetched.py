"""A fetch is read to its end, whatever the keys of its headers are."""

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from schemas.log import kafka_client as kafka_client  # it changes how aiokafka reads
from tests.odd_keys import CODECS, READ, builder, odd_header


def written(odd: set[int], count: int, codec: str = "none") -> bytes:
    """A batch as it is fetched; the records in `odd` have a key that is no UTF-8."""
    made = builder(codec)
    for number in range(count):
        headers = [odd_header() if number in odd else ("even", b"1"), ("theirs", None)]
        made.append(number, 1, key=b"k", value=b"%d" % number, headers=headers)
    return bytes(made.build())


def behind(batch: bytes, offset: int) -> bytes:
    """The batch as it lies at an offset of the log: the checksum does not cover that."""
    return offset.to_bytes(8, "big") + batch[8:]


def read(fetched: bytes, position: int = 0) -> list[ConsumerRecord]:
    partition = TopicPartition("t", 0)
    records = fetcher.MemoryRecords(fetched)
    return list(fetcher.PartitionRecords(partition, records, [], position, None, None, True, 0))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("odd", [set(), {0}, {3}, {5}, {1, 2, 4}], ids=str)
def test_each_record_is_given_once_in_order(odd: set[int], codec: str) -> None:
    records = read(written(odd, 6, codec))
    assert [(each.offset, each.value) for each in records] == [(n, b"%d" % n) for n in range(6)]
    for number, each in enumerate(records):
        first = (READ if number in odd else "even", b"1")
        assert each.headers == (first, ("theirs", None))
    assert all(each.key == b"k" and each.timestamp == 1 for each in records)


def test_batches_before_and_behind_it_are_read_too() -> None:
    even, odd = written(set(), 3), written({1}, 3)
    records = read(even + behind(odd, 3) + behind(even, 6))
    assert [each.offset for each in records] == list(range(9))


def test_it_begins_at_the_position_that_was_asked_for() -> None:
    assert [each.offset for each in read(written({0, 3}, 6), 2)] == [2, 3, 4, 5]


def test_a_wrong_checksum_is_an_error_in_either_reading() -> None:
    even, odd = written(set(), 3), written({1}, 3)
    broken = behind(even[:-1] + b"!", 3)
    for before in (even, odd):
        with pytest.raises(CorruptRecordException):
            read(before + broken)
