-- The chunks of the answers, in the order in which they were written.
--
-- Why a table of chunks and not one growing text per answer: an answer is written while it streams,
-- and an append is cheap where an update of a growing text is not. Reading stays one query:
-- SELECT content FROM streaming_messages WHERE session_id = ... ORDER BY chunk_sequence.

CREATE TABLE streaming_messages (
    id              BIGSERIAL PRIMARY KEY,
    session_id      VARCHAR(255) NOT NULL,
    chunk_sequence  INTEGER NOT NULL,          -- ascending within the session, in log order, never reused
    content         TEXT NOT NULL,
    is_complete     BOOLEAN DEFAULT FALSE,     -- true on the last chunk of a completed answer
    created_at      TIMESTAMPTZ DEFAULT NOW(), -- the event's time
    message_id      TEXT NOT NULL,
    attempt         TEXT NOT NULL,
    sequence        INTEGER NOT NULL           -- within the attempt
);

CREATE UNIQUE INDEX idx_session_sequence ON streaming_messages (session_id, chunk_sequence);

CREATE INDEX idx_session_complete ON streaming_messages (session_id, is_complete);
