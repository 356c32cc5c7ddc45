-- Takes out of the tables what is old, some messages in a transaction. The transactions are REPEATABLE
-- READ: a row that somebody has changed meanwhile fails them, and they are tried again later.

-- name: take_turn
-- One process at a time, and only for this transaction: behind a pooler the connection is another's
-- afterwards.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS taken;

-- name: look
-- The next messages by their time, and whether each may leave: it has ended, long ago, and neither
-- topic holds a record that names it. One that nobody has answered has ended too, when the log that
-- said it is gone. As many as have so many chunks in all, but one at least.
SELECT * FROM (
    SELECT
        u.session_id, u.message_id, u.created_at, a.first_chunk_sequence, a.next_chunk_sequence,
        COALESCE(a.first_epoch, u.epoch) AS epoch,
        COALESCE((u.seen_epoch, u.seen_offset) < (%(epoch)s, COALESCE(s.asked, 0)), TRUE)
            AND CASE
                WHEN a.message_id IS NULL THEN u.seen_epoch IS NOT NULL
                ELSE a.state IN ('complete', 'error') AND a.ended_at < %(before)s
                    AND (a.seen_epoch, a.seen_offset) < (%(epoch)s, COALESCE(s.answered, 0))
            END AS leaves,
        sum(COALESCE(a.next_chunk_sequence - a.first_chunk_sequence, 0)) OVER earlier AS chunks,
        row_number() OVER earlier AS number, count(*) OVER () AS looked_at
    FROM (
        SELECT session_id, message_id, created_at, shard, epoch, seen_epoch, seen_offset
        FROM user_messages
        WHERE created_at < %(before)s
          AND (created_at, session_id, message_id)
            > (%(after_at)s, %(after_session)s::text, %(after_message)s::text)
        ORDER BY created_at, session_id, message_id
        LIMIT %(messages)s
    ) u
    LEFT JOIN answers a ON a.session_id = u.session_id AND a.message_id = u.message_id
    LEFT JOIN json_to_recordset(%(starts)s::json)
        AS s (shard INTEGER, asked BIGINT, answered BIGINT) ON s.shard = u.shard
    WINDOW earlier AS (ORDER BY u.created_at, u.session_id, u.message_id)
) found
WHERE chunks <= %(chunks)s OR number = 1
ORDER BY number;

-- name: remove_chunks
DELETE FROM streaming_messages s
USING json_to_recordset(%(rows)s::json)
    AS r (session_id TEXT, message_id TEXT, first INTEGER, next INTEGER)
WHERE s.session_id = r.session_id
  AND s.chunk_sequence >= r.first
  AND s.chunk_sequence < r.next
  AND s.message_id = r.message_id;

-- name: remove_answers
DELETE FROM answers a
USING json_to_recordset(%(rows)s::json) AS r (session_id TEXT, message_id TEXT)
WHERE a.session_id = r.session_id AND a.message_id = r.message_id;

-- name: remove_prompts
DELETE FROM user_messages u
USING json_to_recordset(%(rows)s::json) AS r (session_id TEXT, message_id TEXT)
WHERE u.session_id = r.session_id AND u.message_id = r.message_id;

-- name: note_removed
INSERT INTO removed_rows AS stored (epoch, messages, removed_at)
SELECT epoch, count(*), NOW()
FROM json_to_recordset(%(rows)s::json) AS r (epoch BIGINT)
GROUP BY epoch
ON CONFLICT (epoch) DO UPDATE
SET messages = stored.messages + EXCLUDED.messages, removed_at = EXCLUDED.removed_at;

-- name: oldest
SELECT EXTRACT(EPOCH FROM min(created_at))::float8 AS oldest_s FROM user_messages;
