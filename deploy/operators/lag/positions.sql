-- How far the persister is in each shard of the log: moved in one transaction with its rows.
SELECT topic, shard, epoch, next_offset FROM kafka_offsets
