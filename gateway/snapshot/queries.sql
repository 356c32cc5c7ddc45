-- Every statement of the gateway, each under its name. Those of a snapshot run in one REPEATABLE
-- READ transaction: the rows and the offset to which they hold are of one moment. None reads more
-- of a session than its newest: one of 100,000 messages costs what one of 100 does.

-- name: stored_position
-- How far the session log is in the rows.
SELECT epoch, next_offset
FROM kafka_offsets
WHERE topic = %(topic)s AND shard = %(shard)s;

-- name: forgotten
-- Whether the session was forgotten, as far as that is in the rows.
SELECT epoch AS forgotten_epoch, log_offset AS forgotten_offset, said_epoch, said_before
FROM forgotten_sessions
WHERE session_id = %(session_id)s;

-- name: ended
-- The newest finished messages of which the log still holds the last event that counts, oldest first,
-- as one row; and those of them that ended at or after a place.
SELECT
    COALESCE(array_agg(message_id ORDER BY first_epoch, first_offset), '{}') AS ids,
    COALESCE(
        array_agg(message_id) FILTER (
            WHERE (epoch, last_offset) >= (%(joined_epoch)s, %(joined_offset)s)
        ),
        '{}'
    ) AS since
FROM (
    SELECT message_id, epoch, last_offset, first_epoch, first_offset
    FROM answers
    WHERE session_id = %(session_id)s AND state IN ('complete', 'error')
    ORDER BY first_epoch DESC, first_offset DESC
    LIMIT %(ids)s
) newest
WHERE (epoch, last_offset) >= (%(epoch)s, %(log_start)s);

-- name: chosen
-- The newest finished messages before a place, so many, and `bytes` of the text and
-- reasoning of each and of all that are newer: who asks takes those that fit. Newest first.
SELECT
    n.message_id,
    sum(octet_length(u.content) + octet_length(n.reasoning) + COALESCE((
        SELECT sum(octet_length(s.content))
        FROM streaming_messages s
        WHERE s.session_id = n.session_id
          AND s.chunk_sequence >= n.first_chunk_sequence
          AND s.chunk_sequence < n.next_chunk_sequence
          AND s.message_id = n.message_id
    ), 0)) OVER (ORDER BY n.first_epoch DESC, n.first_offset DESC)::bigint AS bytes
FROM (
    SELECT
        session_id, message_id, first_epoch, first_offset, first_chunk_sequence,
        next_chunk_sequence, reasoning
    FROM answers
    WHERE session_id = %(session_id)s AND state IN ('complete', 'error')
      AND (first_epoch, first_offset) < (%(before_epoch)s, %(before_offset)s)
    ORDER BY first_epoch DESC, first_offset DESC
    LIMIT %(messages)s
) n
JOIN user_messages u ON u.session_id = n.session_id AND u.message_id = n.message_id
ORDER BY n.first_epoch DESC, n.first_offset DESC;

-- name: open
-- What has not ended.
SELECT message_id
FROM answers
WHERE session_id = %(session_id)s AND state IN ('queued', 'generating');

-- name: states
-- The fold's state of some messages, without text. With the epoch of the last record that names it
-- in either topic.
SELECT
    c.session_id, c.message_id, c.state, c.attempt, c.fence, c.released, c.starts, c.unended_starts,
    c.last_sequence, c.last_reasoning_sequence, c.damaged, c.cancelling, c.position, c.model,
    c.worker, c.continues, c.tool_calls_ignored, c.finish_reason, c.error_code, c.error_message, c.error_retryable, c.usage, c.timings,
    c.history, c.ended_at, c.first_epoch, c.first_offset, c.epoch, c.last_offset,
    GREATEST(a.seen_epoch, u.seen_epoch) AS named_in_epoch
FROM conversation c
JOIN answers a USING (session_id, message_id)
JOIN user_messages u USING (session_id, message_id)
WHERE c.session_id = %(session_id)s AND c.message_id = ANY (%(message_ids)s::text[])
ORDER BY c.first_epoch, c.first_offset;

-- name: texts
-- What was said and answered, of the messages that a snapshot shows.
SELECT message_id, prompt, prompt_created_at, content, reasoning
FROM conversation
WHERE session_id = %(session_id)s AND message_id = ANY (%(message_ids)s::text[]);

-- name: ended_before
-- Which of some messages had ended before a place in the log: what the log says of them after that
-- counts no more.
SELECT message_id
FROM answers
WHERE session_id = %(session_id)s AND message_id = ANY (%(message_ids)s::text[])
  AND state IN ('complete', 'error') AND (epoch, last_offset) < (%(epoch)s, %(offset)s);

-- name: place
-- Where a message stands in its session.
SELECT first_epoch, first_offset
FROM answers
WHERE session_id = %(session_id)s AND message_id = %(message_id)s;
