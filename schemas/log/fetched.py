"""Reads a fetch to its end whatever the keys of its records' headers are.

A header's key is text, but no broker refuses one that is no UTF-8, and a Java client reads it with
replacement characters. aiokafka's parser raises UnicodeDecodeError out of `getmany`, and throws
away what it had read of the shard: one such record ended every reader, again and again. So the
rest of such a fetch is read by aiokafka's own classes in Python, which are given bytes that can be
decoded. That is ten times slower, and only such a fetch meets it.

A wrong checksum is another thing and stays an error (`CorruptRecordException`): there the broker
has lost bytes, and what was there must not be skipped. A batch that can't be parsed for another
reason is refused by the broker when it is written.
"""

from collections.abc import Iterator
from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

log = structlog.get_logger(__name__)


class _Bytes(bytearray):
    r"""Decodes what is no UTF-8 too: it stands there as \xff, so that two keys stay two."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Bytes(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """Records whose only texts, the keys of their headers, may be any bytes."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Bytes(self._buffer)


class _Fetched:
    """The batches of a fetch as aiokafka reads them; they can be read once more."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._batches = MemoryRecords(fetched)
        self._begun = 0
        self.size_in_bytes = self._batches.size_in_bytes
        self.has_next = self._batches.has_next

    def next_batch(self) -> Any:
        """Give the next batch. Raises CorruptRecordException."""
        self._begun += 1
        return self._batches.next_batch()

    def once_more(self) -> _MemoryRecordsPy:
        """Give the batch that was begun last, and those behind it, for the classes in Python."""
        batches = _MemoryRecordsPy(self._fetched)
        for _ in range(self._begun - 1):
            batches.next_batch()
        return batches


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a fetch, of which none ends the reading."""

    _records: Any

    def _unpack_records(self) -> Iterator[Any]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            log.warning(
                "a record has a header whose key is no UTF-8",
                topic=self._tp.topic,
                shard=self._tp.partition,
                offset=self.next_fetch_offset,
            )
            # Records of the batch before the next offset are skipped, as in any batch.
            self._records = self._records.once_more()
            yield from super()._unpack_records()


memory_records.DefaultRecordBatch = _Batch  # what the classes in Python read a batch with
fetcher.MemoryRecords = _Fetched
fetcher.PartitionRecords = _PartitionRecords
