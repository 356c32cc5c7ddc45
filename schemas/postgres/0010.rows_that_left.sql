-- Rows leave when they are old (TALKLOG_KEEP_DAYS), found by the time at which their message was said.
--
-- `removed_rows` says of which epochs messages have left, and how many. Where an earlier epoch's have,
-- a session's numbers of chunks do not begin where its log does: who compares the two must know. It
-- holds nothing that anybody has said.

CREATE INDEX idx_user_messages_created ON user_messages (created_at, session_id, message_id);

CREATE TABLE removed_rows (
    epoch      BIGINT PRIMARY KEY,
    messages   BIGINT NOT NULL,
    removed_at TIMESTAMPTZ NOT NULL      -- the last time
);
