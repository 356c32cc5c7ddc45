-- Which sessions were forgotten, and where in the log: without it, what the log still says of their
-- messages would come back as rows. It holds nothing that anybody has said.
--
-- `said_before` is the offset in user_messages before which all is forgotten, in the log of
-- `said_epoch`: the place that was said last holds, also if a later event names an earlier one.

CREATE TABLE forgotten_sessions (
    session_id   TEXT PRIMARY KEY,
    shard        INTEGER NOT NULL,
    epoch        BIGINT NOT NULL,       -- place of the last such event in the session log
    log_offset   BIGINT NOT NULL,
    said_epoch   BIGINT NOT NULL,
    said_before  BIGINT NOT NULL,
    forgotten_at TIMESTAMPTZ NOT NULL   -- the event's time
);
