-- Every statement of the gateway, each under its name. Those of a snapshot run in one REPEATABLE
-- READ transaction: the rows and the offset to which they hold are of one moment. None reads more
-- of a session than its newest: one of 100,000 messages costs what one of 100 does.

-- name: session
-- How far the session log is in the rows, whether the session was forgotten, what of it has not ended
-- (`open`) and whether anything has (`finished`); and of the newest finished messages those of which
-- the log still holds the last event that counts, oldest first (`ended`), and those that ended at or
-- after a place (`since`). Always one row: most who come have said nothing yet, and nothing else is
-- asked for them.
SELECT
    (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset,
    f.epoch AS forgotten_epoch,
    f.log_offset AS forgotten_offset,
    f.said_epoch,
    f.said_before,
    ARRAY(
        SELECT message_id FROM answers
        WHERE session_id = %(session_id)s AND state IN ('queued', 'generating')
    ) AS open,
    newest.*
FROM (
    SELECT
        count(*) > 0 AS finished,
        COALESCE(
            array_agg(message_id ORDER BY first_epoch, first_offset) FILTER (
                WHERE (epoch, last_offset) >= (%(epoch)s, %(log_start)s)
            ),
            '{}'
        ) AS ended,
        COALESCE(
            array_agg(message_id) FILTER (
                WHERE (epoch, last_offset) >= (%(epoch)s, %(log_start)s)
                  AND (epoch, last_offset) >= (%(joined_epoch)s, %(joined_offset)s)
            ),
            '{}'
        ) AS since
    FROM (
        SELECT message_id, epoch, last_offset, first_epoch, first_offset
        FROM answers
        WHERE session_id = %(session_id)s AND state IN ('complete', 'error')
        ORDER BY first_epoch DESC, first_offset DESC
        LIMIT %(ids)s
    ) known
) newest
LEFT JOIN forgotten_sessions f ON f.session_id = %(session_id)s;

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

-- name: messages
-- The fold's state of some messages, with what was said and answered, and with the epoch of the last
-- record that names each in either topic.
SELECT
    c.session_id, c.message_id, c.state, c.attempt, c.fence, c.released, c.starts, c.unended_starts,
    c.last_sequence, c.last_reasoning_sequence, c.damaged, c.cancelling, c.position, c.model,
    c.worker, c.continues, c.tool_calls_ignored, c.finish_reason, c.error_code, c.error_message,
    c.error_retryable, c.usage, c.timings, c.history, c.ended_at, c.prompt, c.prompt_created_at,
    c.content, c.reasoning, c.first_epoch, c.first_offset, c.epoch, c.last_offset,
    GREATEST(a.seen_epoch, u.seen_epoch) AS named_in_epoch
FROM conversation c
JOIN answers a USING (session_id, message_id)
JOIN user_messages u USING (session_id, message_id)
WHERE c.session_id = %(session_id)s AND c.message_id = ANY (%(message_ids)s::text[])
ORDER BY c.first_epoch, c.first_offset;

-- name: ended_before
-- Which of some messages had ended before a place in the log: what the log says of them after that
-- counts no more.
SELECT message_id
FROM answers
WHERE session_id = %(session_id)s AND message_id = ANY (%(message_ids)s::text[])
  AND state IN ('complete', 'error') AND (epoch, last_offset) < (%(epoch)s, %(offset)s);

-- name: place
-- How far the session log is in the rows, and where a message stands in its session, if it is there.
-- Always one row.
SELECT stored.next_offset, a.first_epoch, a.first_offset
FROM (
    SELECT (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset
) AS stored
LEFT JOIN answers a ON a.session_id = %(session_id)s AND a.message_id = %(message_id)s;
