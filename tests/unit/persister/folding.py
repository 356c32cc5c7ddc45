"""Folds a log into the tables in memory, in batches of any size, with crashes between."""

from collections.abc import Iterable, Sequence

from persister.changes import Changes
from persister.reading import BadRecord, read
from persister.rows import RowFold
from schemas.events import Event
from tests.unit.persister.tables import Tables
from tests.written import log_of

EPOCH = 7
SHARDS = 4


def folded(
    events: Sequence[Event],
    batches: Iterable[int] = (),
    *,
    crashes: Iterable[bool] = (),
    max_answers: int = 1000,
    shards: int = SHARDS,
    tables: Tables | None = None,
) -> Tables:
    """Store the log of these events: batch sizes as given (then one for all that is left).

    A crash comes after the fold and before the transaction: memory is gone, nothing is written.
    """
    tables = tables or Tables()
    fold = RowFold(EPOCH, max_answers)
    log = log_of(events, shards)
    records = [(partition, record) for partition, held in log.records.items() for record in held]
    sizes, dies = iter(batches), iter(crashes)
    while records:
        size = next(sizes, len(records))
        batch = records[:size]
        changes = _changes(fold, tables, batch, shards)
        if next(dies, False):
            fold = RowFold(EPOCH, max_answers)
            continue
        tables.save(changes)
        records = records[size:]
    return tables


def _changes(fold: RowFold, tables: Tables, batch: Iterable[tuple], shards: int) -> Changes:  # type: ignore[type-arg]
    read_ones = []
    for partition, record in batch:
        try:
            event = read(partition.topic, partition.shard, shards, record)
        except BadRecord:
            continue
        if event is not None:
            read_ones.append((partition.shard, record.offset, event))
    keys, sessions = fold.unknown([event for _, _, event in read_ones])
    fold.restore(keys, *tables.lookup(keys, sessions))
    return fold.fold(read_ones)
