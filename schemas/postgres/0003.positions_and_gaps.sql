-- How far the log is in these tables, in the same transaction as the rows themselves.
--
-- Why here and not only in Kafka: rows and position must change together or not at all. A writer
-- moves a position only from the value it has read (`WHERE next_offset = expected`), which also
-- stops a writer that was thought dead.

CREATE TABLE kafka_offsets (
    topic        TEXT NOT NULL,
    shard        INTEGER NOT NULL,
    epoch        BIGINT NOT NULL,
    next_offset  BIGINT NOT NULL,
    PRIMARY KEY (topic, shard)
);

-- Ranges that the log no longer held when they were to be read. Each is an alarm: here exactness
-- ends.
CREATE TABLE log_gaps (
    topic        TEXT NOT NULL,
    shard        INTEGER NOT NULL,
    from_offset  BIGINT NOT NULL,
    to_offset    BIGINT NOT NULL,
    seen_at      TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
