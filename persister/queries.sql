-- Every statement of the persister, each under its name. All names of tables are without a schema:
-- a rebuild runs the same statements with another search_path. Columns are named wherever rows are
-- made: a later migration may add one with a default, and a persister of before must go on.

-- name: positions
-- How far the log is in the rows.
SELECT topic, shard, epoch, next_offset
FROM kafka_offsets;

-- name: begin_position
-- A shard that was never read begins at the log's start. Another writer may have been quicker.
INSERT INTO kafka_offsets (topic, shard, epoch, next_offset)
VALUES (%(topic)s, %(shard)s, %(epoch)s, %(start)s)
ON CONFLICT DO NOTHING;

-- name: begin_epoch
-- The topics were made anew: on from the new log's start, if nobody else has done it.
UPDATE kafka_offsets
SET epoch = %(epoch)s, next_offset = %(start)s
WHERE topic = %(topic)s AND shard = %(shard)s AND epoch < %(epoch)s;

-- name: move_positions
-- First in the transaction: the row locks keep a second writer out, and a writer that was thought
-- dead fails here, before its rows could collide with those of its successor. Locked in one order,
-- so that two writers can't wait for each other.
WITH wanted AS (
    SELECT * FROM json_to_recordset(%(moves)s::json)
        AS w (topic TEXT, shard INTEGER, epoch BIGINT, expected BIGINT, next BIGINT)
), locked AS (
    SELECT k.topic, k.shard, w.next
    FROM kafka_offsets k
    JOIN wanted w ON w.topic = k.topic AND w.shard = k.shard
    WHERE k.epoch = w.epoch AND k.next_offset = w.expected
    ORDER BY k.topic, k.shard
    FOR UPDATE OF k
)
UPDATE kafka_offsets k
SET next_offset = locked.next
FROM locked
WHERE k.topic = locked.topic AND k.shard = locked.shard;

-- name: answers_of
-- The stored state of messages that memory doesn't know; their reasoning is never held there.
SELECT
    a.session_id, a.message_id, a.state, a.attempt, a.fence, a.released, a.starts,
    a.unended_starts, a.last_sequence, a.last_reasoning_sequence, a.first_chunk_sequence,
    a.next_chunk_sequence, a.damaged, a.cancelling, a.position, a.model, a.worker, a.continues,
    a.tool_calls_ignored, a.finish_reason, a.error_code, a.error_message, a.error_retryable,
    a.usage, a.timings, a.history, a.ended_at, a.shard, a.first_epoch, a.first_offset, a.epoch,
    a.last_offset, a.seen_epoch, a.seen_offset
FROM unnest(%(sessions)s::text[], %(messages)s::text[]) AS wanted (session_id, message_id)
JOIN answers a USING (session_id, message_id);

-- name: highest_of
-- The number that the next chunk of a session gets.
SELECT session_id, max(next_chunk_sequence) AS next_chunk_sequence
FROM answers
WHERE session_id = ANY (%(sessions)s::text[])
GROUP BY session_id;

-- name: forgotten_of
-- Which of some sessions were forgotten, and up to where.
SELECT session_id, epoch AS forgotten_epoch, log_offset AS forgotten_offset, said_epoch, said_before
FROM forgotten_sessions
WHERE session_id = ANY (%(sessions)s::text[]);

-- name: put_forgotten
INSERT INTO forgotten_sessions AS stored (
    session_id, shard, epoch, log_offset, said_epoch, said_before, forgotten_at
)
SELECT session_id, shard, epoch, log_offset, said_epoch, said_before, forgotten_at
FROM json_populate_recordset(NULL::forgotten_sessions, %(rows)s::json)
ORDER BY session_id
ON CONFLICT (session_id) DO UPDATE SET
    shard = EXCLUDED.shard,
    epoch = EXCLUDED.epoch,
    log_offset = EXCLUDED.log_offset,
    said_epoch = EXCLUDED.said_epoch,
    said_before = EXCLUDED.said_before,
    forgotten_at = EXCLUDED.forgotten_at;

-- name: remove_answers
-- Some rows of a session at a time: it may be long, and no statement may be.
DELETE FROM answers
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM answers WHERE session_id = %(session)s LIMIT %(rows)s
));

-- name: remove_chunks
DELETE FROM streaming_messages
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM streaming_messages WHERE session_id = %(session)s LIMIT %(rows)s
));

-- name: remove_prompts
-- What was said, but for what was said after the session was forgotten. Where no record of
-- user_messages has told of it yet, that will tell.
DELETE FROM user_messages
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM user_messages
    WHERE session_id = %(session)s
      AND (log_offset IS NULL OR (epoch, log_offset) < (%(said_epoch)s, %(said_before)s))
    LIMIT %(rows)s
));

-- name: remove_replaced
-- The chunks of an attempt that a later start has replaced.
DELETE FROM streaming_messages s
USING json_to_recordset(%(ranges)s::json)
    AS r (session_id TEXT, message_id TEXT, first INTEGER, next INTEGER)
WHERE s.session_id = r.session_id
  AND s.chunk_sequence >= r.first
  AND s.chunk_sequence < r.next
  AND s.message_id = r.message_id;

-- name: add_chunks
COPY streaming_messages
    (session_id, chunk_sequence, content, is_complete, created_at, message_id, attempt, sequence)
FROM STDIN;

-- name: complete
-- The terminal came after its answer's last chunk was stored.
UPDATE streaming_messages s
SET is_complete = TRUE
FROM unnest(%(sessions)s::text[], %(numbers)s::int[]) AS c (session_id, chunk_sequence)
WHERE s.session_id = c.session_id AND s.chunk_sequence = c.chunk_sequence;

-- name: see_cancels
-- As long as the log holds a record that names a message, the message isn't lost. A cancel counts
-- only after the message's own record in the same topic: then it does not depend on how far the
-- other topic has been read. Before put_prompts: these came before the records that it brings.
UPDATE user_messages u
SET seen_epoch = c.seen_epoch,
    seen_offset = c.seen_offset,
    cancelled_by = CASE WHEN u.cancelled_at IS NULL THEN c.cancelled_by ELSE u.cancelled_by END,
    cancelled_at = COALESCE(u.cancelled_at, c.cancelled_at)
FROM json_populate_recordset(NULL::user_messages, %(rows)s::json) c
WHERE u.session_id = c.session_id AND u.message_id = c.message_id AND u.log_offset IS NOT NULL;

-- name: put_prompts
-- The first record of an id in user_messages counts, and the first cancel behind it; what only the
-- answer's events have told of gives way to it. Sorted, so that two writers can't wait for each other.
INSERT INTO user_messages AS stored (
    session_id, message_id, content, user_id, created_at, shard, epoch, log_offset, seen_epoch,
    seen_offset, cancelled_by, cancelled_at
)
SELECT
    session_id, message_id, content, user_id, created_at, shard, epoch, log_offset, seen_epoch,
    seen_offset, cancelled_by, cancelled_at
FROM json_populate_recordset(NULL::user_messages, %(rows)s::json)
ORDER BY session_id, message_id
ON CONFLICT (session_id, message_id) DO UPDATE SET
    content = CASE WHEN stored.log_offset IS NULL THEN EXCLUDED.content ELSE stored.content END,
    user_id = CASE WHEN stored.log_offset IS NULL THEN EXCLUDED.user_id ELSE stored.user_id END,
    created_at =
        CASE WHEN stored.log_offset IS NULL THEN EXCLUDED.created_at ELSE stored.created_at END,
    shard = EXCLUDED.shard,
    epoch = CASE WHEN stored.log_offset IS NULL THEN EXCLUDED.epoch ELSE stored.epoch END,
    log_offset = COALESCE(stored.log_offset, EXCLUDED.log_offset),
    seen_epoch = EXCLUDED.seen_epoch,
    seen_offset = EXCLUDED.seen_offset,
    cancelled_by = CASE
        WHEN stored.cancelled_at IS NULL THEN EXCLUDED.cancelled_by ELSE stored.cancelled_by END,
    cancelled_at = COALESCE(stored.cancelled_at, EXCLUDED.cancelled_at)
WHERE EXCLUDED.log_offset IS NOT NULL;

-- name: put_answers
INSERT INTO answers (
    session_id, message_id, state, attempt, fence, released, starts, unended_starts,
    last_sequence, last_reasoning_sequence, first_chunk_sequence, next_chunk_sequence, damaged,
    cancelling, position, model, worker, continues, tool_calls_ignored, finish_reason, error_code,
    error_message, error_retryable, usage, timings, history, ended_at, shard, first_epoch,
    first_offset, epoch, last_offset, seen_epoch, seen_offset
)
SELECT
    session_id, message_id, state, attempt, fence, released, starts, unended_starts,
    last_sequence, last_reasoning_sequence, first_chunk_sequence, next_chunk_sequence, damaged,
    cancelling, position, model, worker, continues, tool_calls_ignored, finish_reason, error_code,
    error_message, error_retryable, usage, timings, history, ended_at, shard, first_epoch,
    first_offset, epoch, last_offset, seen_epoch, seen_offset
FROM json_populate_recordset(NULL::answers, %(rows)s::json)
ORDER BY session_id, message_id
ON CONFLICT (session_id, message_id) DO UPDATE SET
    state = EXCLUDED.state,
    attempt = EXCLUDED.attempt,
    fence = EXCLUDED.fence,
    released = EXCLUDED.released,
    starts = EXCLUDED.starts,
    unended_starts = EXCLUDED.unended_starts,
    last_sequence = EXCLUDED.last_sequence,
    last_reasoning_sequence = EXCLUDED.last_reasoning_sequence,
    first_chunk_sequence = EXCLUDED.first_chunk_sequence,
    next_chunk_sequence = EXCLUDED.next_chunk_sequence,
    damaged = EXCLUDED.damaged,
    cancelling = EXCLUDED.cancelling,
    position = EXCLUDED.position,
    model = EXCLUDED.model,
    worker = EXCLUDED.worker,
    continues = EXCLUDED.continues,
    tool_calls_ignored = EXCLUDED.tool_calls_ignored,
    finish_reason = EXCLUDED.finish_reason,
    error_code = EXCLUDED.error_code,
    error_message = EXCLUDED.error_message,
    error_retryable = EXCLUDED.error_retryable,
    usage = EXCLUDED.usage,
    timings = EXCLUDED.timings,
    history = EXCLUDED.history,
    ended_at = EXCLUDED.ended_at,
    shard = EXCLUDED.shard,
    epoch = EXCLUDED.epoch,
    last_offset = EXCLUDED.last_offset,
    seen_epoch = EXCLUDED.seen_epoch,
    seen_offset = EXCLUDED.seen_offset;

-- name: put_reasonings
-- Put behind what is there, so that no process holds it; a new attempt begins anew.
UPDATE answers a
SET reasoning = CASE WHEN r.anew THEN r.content ELSE a.reasoning || r.content END
FROM json_to_recordset(%(rows)s::json)
    AS r (session_id TEXT, message_id TEXT, anew BOOLEAN, content TEXT)
WHERE a.session_id = r.session_id AND a.message_id = r.message_id;

-- name: note_gap
INSERT INTO log_gaps (topic, shard, from_offset, to_offset)
VALUES (%(topic)s, %(shard)s, %(from_offset)s, %(to_offset)s);

-- name: damage_open
-- What was open when the gap began may have lost chunks in it.
UPDATE answers
SET damaged = TRUE
WHERE shard = %(shard)s AND state IN ('queued', 'generating');

-- name: open_before
-- Open answers of which the session log may hold nothing any more; with the last place in
-- user_messages that names them.
SELECT
    a.session_id, a.message_id, a.state, a.attempt, a.fence, a.released, a.starts,
    a.unended_starts, a.last_sequence, a.last_reasoning_sequence, a.first_chunk_sequence,
    a.next_chunk_sequence, a.damaged, a.cancelling, a.position, a.model, a.worker, a.continues,
    a.tool_calls_ignored, a.finish_reason, a.error_code, a.error_message, a.error_retryable,
    a.usage, a.timings, a.history, a.ended_at, a.shard, a.first_epoch, a.first_offset, a.epoch,
    a.last_offset, a.seen_epoch, a.seen_offset,
    u.seen_epoch AS asked_epoch, u.seen_offset AS asked_offset
FROM answers a
LEFT JOIN user_messages u USING (session_id, message_id)
WHERE a.state IN ('queued', 'generating')
  AND (a.epoch < %(epoch)s OR (a.shard = %(shard)s AND a.last_offset < %(start)s))
  AND (a.session_id, a.message_id) > (%(after_session)s::text, %(after_message)s::text)
ORDER BY a.session_id, a.message_id
LIMIT 1000;

-- name: end_lost
UPDATE answers a
SET state = 'error',
    error_code = 'lost',
    error_message = 'the log that would have ended this answer is gone',
    error_retryable = TRUE,
    released = FALSE,
    cancelling = NULL,
    position = NULL,
    ended_at = NOW()
FROM unnest(%(sessions)s::text[], %(messages)s::text[]) AS lost (session_id, message_id)
WHERE a.session_id = lost.session_id AND a.message_id = lost.message_id
  AND a.state IN ('queued', 'generating');

-- name: end_stalled_writers
-- A writer that is stopped in the middle of a COPY is not idle, and the server waits for it without
-- a time-out, holding the positions. It is ended by its successor.
SELECT count(pg_terminate_backend(pid)) AS ended
FROM pg_stat_activity
WHERE datname = current_database()
  AND usename = current_user
  AND application_name = current_setting('application_name')
  AND pid <> pg_backend_pid()
  AND wait_event = 'ClientRead'
  AND xact_start < clock_timestamp() - make_interval(secs => %(stalled_s)s);
