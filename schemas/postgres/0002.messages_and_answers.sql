-- What people said, and what became of it: one row a message in each table.
--
-- Why two tables: a prompt is known before anything answers it (from user_messages), and again from
-- the first event of its answer; whichever is read first writes the row. An answer's row is the fold
-- of its events, so that a reader can go on folding from it.
-- A place in the log is (epoch, offset): offsets of topics that were made anew begin again.

CREATE TABLE user_messages (
    session_id   TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    content      TEXT NOT NULL,
    user_id      TEXT,
    created_at   TIMESTAMPTZ NOT NULL,
    shard        INTEGER NOT NULL,
    epoch        BIGINT,                -- place of its first record in user_messages; null while
    log_offset   BIGINT,                -- only the answer's events have told of it
    seen_epoch   BIGINT,                -- place of the last record there that names it: as long as
    seen_offset  BIGINT,                -- the log holds that, it isn't lost
    PRIMARY KEY (session_id, message_id)
);

CREATE TABLE answers (
    session_id           TEXT NOT NULL,
    message_id           TEXT NOT NULL,
    state                TEXT NOT NULL,      -- queued, generating, complete, error
    attempt              TEXT,               -- of the last start that counted
    fence                BIGINT[],           -- of that start; arrays compare as the fold compares
    released             BOOLEAN NOT NULL,
    starts               INTEGER NOT NULL,
    unended_starts       INTEGER NOT NULL,   -- starts that `released` has not ended
    last_sequence        INTEGER NOT NULL,
    first_chunk_sequence INTEGER,            -- rows of the attempt lie in [first, next); null: none
    next_chunk_sequence  INTEGER NOT NULL,   -- the highest of a session is what its next chunk gets
    damaged              BOOLEAN NOT NULL,   -- a chunk is missing
    cancelling           TEXT,
    position             INTEGER,
    model                TEXT,
    worker               TEXT,
    finish_reason        TEXT,
    error_code           TEXT,
    error_message        TEXT,
    error_retryable      BOOLEAN,
    usage                JSONB,
    timings              JSONB,
    history              TEXT,
    ended_at             TIMESTAMPTZ,
    shard                INTEGER NOT NULL,
    first_epoch          BIGINT NOT NULL,    -- place of the first event that counts
    first_offset         BIGINT NOT NULL,
    epoch                BIGINT NOT NULL,    -- place of the last event that counts
    last_offset          BIGINT NOT NULL,
    seen_epoch           BIGINT NOT NULL,    -- place of the last event that names it
    seen_offset          BIGINT NOT NULL,
    PRIMARY KEY (session_id, message_id)
);

-- What has no end yet is a handful; it is asked for when a gap is found and when answers are lost.
CREATE INDEX idx_answers_open ON answers (shard, epoch, last_offset)
    WHERE state IN ('queued', 'generating');
