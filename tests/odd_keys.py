"""Records whose headers have keys that are no UTF-8, as a producer in another language may write.

aiokafka's own producer can't. Its builder in Python asks a key for its bytes, and this key lies.
"""

from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BATCH_MAX_BYTES = 1 << 20
RAW = b"\xff\xfe id"
READ = r"\xff\xfe id"
"""How it is read."""


class _OddKey(str):
    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return RAW


def builder(codec: str = "none") -> _DefaultRecordBatchBuilderPy:
    """Make a batch's builder that takes the keys of `odd_header`."""
    return _DefaultRecordBatchBuilderPy(2, CODECS[codec], 0, -1, -1, 0, BATCH_MAX_BYTES)


def odd_header(value: bytes | None = b"1") -> tuple[str, bytes | None]:
    """Give a header with the key RAW."""
    return _OddKey("odd"), value


async def write_odd_keys(
    producer: AIOKafkaProducer,
    topic: str,
    shard: int,
    values: Iterable[bytes | None],
    *,
    key: bytes = b"theirs",
    codec: str = "none",
) -> int:
    """Append one batch of these values, each with an odd header; give the offset of the first."""
    batch = producer.create_batch()
    batch._builder = builder(codec)
    for value in values:
        batch.append(timestamp=None, key=key, value=value, headers=[odd_header()])
    return int((await (await producer.send_batch(batch, topic, partition=shard))).offset)
