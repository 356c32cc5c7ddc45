-- name: conversation
-- The state of a session's messages and how far the log is in it, in one statement, so that both
-- are of one moment. Text only of the newest and of those that have not ended: the rest is asked
-- for so that a late start of an ended message is known for what it is. Always at least one row.
SELECT
    stored.next_offset,
    f.epoch AS forgotten_epoch,
    f.log_offset AS forgotten_offset,
    f.said_epoch,
    f.said_before,
    c.*
FROM (
    SELECT (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset
) AS stored
LEFT JOIN forgotten_sessions f ON f.session_id = %(session_id)s
LEFT JOIN LATERAL (
    SELECT
        message_id,
        state IN ('queued', 'generating')
            OR row_number() OVER (ORDER BY epoch DESC, last_offset DESC) <= %(texts)s
            AS with_text
    FROM answers
    WHERE session_id = %(session_id)s
    ORDER BY epoch DESC, last_offset DESC
    LIMIT %(messages)s
) AS ranked ON TRUE
LEFT JOIN LATERAL (
    SELECT
        session_id, message_id, prompt_created_at, state, attempt, fence, released, starts,
        unended_starts, last_sequence, last_reasoning_sequence, damaged, cancelling, position,
        model, worker, continues, tool_calls_ignored, finish_reason, error_code, error_message,
        error_retryable, usage, timings, history, ended_at,
        first_epoch, first_offset, epoch, last_offset,
        CASE WHEN ranked.with_text THEN prompt END AS prompt,
        -- Put together only where it is wanted: a CASE does not evaluate the other rows.
        CASE WHEN ranked.with_text THEN content END AS content
    FROM conversation
    WHERE session_id = %(session_id)s AND message_id = ranked.message_id
    -- One look-up a message, by the whole key: with stale statistics of a young table the planner
    -- would join a session with itself, row by row.
    OFFSET 0
) AS c ON TRUE;

-- name: look_up
-- The state of one message, which messages its session has (of many, some), and how far the session
-- log is in the tables, in one statement. Always one row.
SELECT
    (
        SELECT state FROM answers WHERE session_id = %(session_id)s AND message_id = %(message_id)s
    ) AS state,
    ARRAY(
        SELECT message_id FROM answers WHERE session_id = %(session_id)s LIMIT %(ids)s
    ) AS message_ids,
    (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset;
