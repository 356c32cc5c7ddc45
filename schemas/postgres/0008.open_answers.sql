-- What changes with every chunk of an answer (`last_offset`, `epoch`) is in no index any more, and
-- pages keep some room: so Postgres rewrites the row of a running answer where it lies, and touches
-- no index for it (HOT).

DROP INDEX idx_answers_open;

CREATE INDEX idx_answers_open ON answers (shard) WHERE state IN ('queued', 'generating');

ALTER TABLE answers SET (fillfactor = 80);
