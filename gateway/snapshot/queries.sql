-- Every statement of the gateway, each under its name. They run in one REPEATABLE READ transaction:
-- the rows and the offset to which they hold are of one moment.

-- name: stored_position
-- How far the session log is in the rows.
SELECT epoch, next_offset
FROM kafka_offsets
WHERE topic = %(topic)s AND shard = %(shard)s;

-- name: states
-- The state of every message of the session, without text: the fold goes on from all of them, or a
-- late event of one that is left out would look like a new answer. With the epoch of the last
-- record that names it in either topic.
SELECT
    c.session_id, c.message_id, c.state, c.attempt, c.fence, c.released, c.starts, c.unended_starts,
    c.last_sequence, c.damaged, c.cancelling, c.position, c.model, c.worker, c.finish_reason,
    c.error_code, c.error_message, c.error_retryable, c.usage, c.timings, c.history, c.ended_at,
    c.first_epoch, c.first_offset, c.epoch, c.last_offset,
    GREATEST(a.seen_epoch, u.seen_epoch) AS named_in_epoch
FROM conversation c
JOIN answers a USING (session_id, message_id)
JOIN user_messages u USING (session_id, message_id)
WHERE c.session_id = %(session_id)s AND c.state IS NOT NULL
ORDER BY c.first_epoch, c.first_offset;

-- name: texts
-- What was said and answered, of the messages that a snapshot shows.
SELECT message_id, prompt, prompt_created_at, content
FROM conversation
WHERE session_id = %(session_id)s AND message_id = ANY (%(message_ids)s::text[]);
