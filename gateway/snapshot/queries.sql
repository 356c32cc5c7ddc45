-- Every statement of the gateway, each under its name. A statement sees the tables as of one moment,
-- so the rows and the offset to which they hold belong together. None reads more of a session than
-- its newest: one of 100,000 messages costs what one of 100 does.

-- name: about
-- How far the session log is in the rows, whether the session was forgotten, and whether there is a
-- message in it at all: most who come have said nothing yet, and nothing else is asked for them.
-- Always one row.
SELECT
    (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset,
    f.epoch AS forgotten_epoch,
    f.log_offset AS forgotten_offset,
    f.said_epoch,
    f.said_before,
    EXISTS (SELECT FROM answers WHERE session_id = %(session_id)s) AS has_messages
FROM (VALUES (TRUE)) AS always
LEFT JOIN forgotten_sessions f ON f.session_id = %(session_id)s;

-- name: session
-- The same, and the fold of some of its messages: the newest that have ended (before another one, if
-- that is stored), so many, as far as their texts fit, but one at least (`more`: there are older
-- ones); and for a join (`joins`) all that have not ended, or ended at or after a place. `ended`,
-- for a join too, are the newest that have ended of which the log still holds the last event that
-- counts, oldest first.
--
-- One row a message, in their order. What is of the session stands in every row, but for `ended`,
-- which may be long: in the first alone. Where there is no message there is one row, of its nulls.
WITH place AS (
    SELECT first_epoch, first_offset
    FROM answers
    WHERE session_id = %(session_id)s AND message_id = %(before)s
), newest AS (
    -- `bytes`: text and reasoning of each and of all that are newer.
    SELECT
        n.message_id,
        row_number() OVER newer AS nth,
        sum(octet_length(u.content) + octet_length(n.reasoning) + COALESCE((
            SELECT sum(octet_length(s.content))
            FROM streaming_messages s
            WHERE s.session_id = n.session_id
              AND s.chunk_sequence >= n.first_chunk_sequence
              AND s.chunk_sequence < n.next_chunk_sequence
              AND s.message_id = n.message_id
        ), 0)) OVER newer AS bytes
    FROM (
        SELECT
            session_id, message_id, first_epoch, first_offset, first_chunk_sequence,
            next_chunk_sequence, reasoning
        FROM answers
        WHERE session_id = %(session_id)s AND state IN ('complete', 'error')
          AND (first_epoch, first_offset) < (
              COALESCE((SELECT first_epoch FROM place), %(after_all)s),
              COALESCE((SELECT first_offset FROM place), 0)
          )
        ORDER BY first_epoch DESC, first_offset DESC
        LIMIT %(messages)s + 1
    ) n
    JOIN user_messages u ON u.session_id = n.session_id AND u.message_id = n.message_id
    WINDOW newer AS (ORDER BY n.first_epoch DESC, n.first_offset DESC)
), shown AS (
    SELECT message_id
    FROM newest
    WHERE nth <= %(messages)s AND (bytes <= %(bytes)s OR nth = 1)
), ended AS (
    SELECT *
    FROM (
        SELECT message_id, epoch, last_offset, first_epoch, first_offset
        FROM answers
        WHERE %(joins)s AND session_id = %(session_id)s AND state IN ('complete', 'error')
        ORDER BY first_epoch DESC, first_offset DESC
        LIMIT %(ids)s
    ) known
    WHERE (epoch, last_offset) >= (%(epoch)s, %(log_start)s)
), wanted AS (
    SELECT message_id FROM shown
    UNION
    SELECT message_id
    FROM ended
    WHERE (epoch, last_offset) >= (%(joined_epoch)s, %(joined_offset)s)
    UNION
    SELECT message_id
    FROM answers
    WHERE %(joins)s AND session_id = %(session_id)s AND state IN ('queued', 'generating')
)
SELECT
    (
        SELECT next_offset FROM kafka_offsets
        WHERE topic = %(topic)s AND shard = %(shard)s AND epoch = %(epoch)s
    ) AS next_offset,
    f.epoch AS forgotten_epoch,
    f.log_offset AS forgotten_offset,
    f.said_epoch,
    f.said_before,
    (SELECT count(*) FROM newest) > (SELECT count(*) FROM shown) AS more,
    CASE WHEN row_number() OVER (ORDER BY m.first_epoch, m.first_offset) = 1 THEN
        ARRAY(SELECT message_id FROM ended ORDER BY first_epoch, first_offset)
    END AS ended,
    m.*
FROM (VALUES (TRUE)) AS always
LEFT JOIN forgotten_sessions f ON f.session_id = %(session_id)s
LEFT JOIN (
    wanted
    CROSS JOIN LATERAL (
        -- The fold's state, with what was said and answered; and the epoch of the last record that
        -- names the message in either topic.
        SELECT
            c.session_id, c.message_id, c.state, c.attempt, c.fence, c.released, c.starts,
            c.unended_starts, c.last_sequence, c.last_reasoning_sequence, c.damaged, c.cancelling,
            c.position, c.model, c.worker, c.continues, c.tool_calls_ignored, c.finish_reason,
            c.error_code, c.error_message, c.error_retryable, c.usage, c.timings, c.history,
            c.ended_at, c.prompt, c.prompt_created_at, c.content, c.reasoning, c.first_epoch,
            c.first_offset, c.epoch, c.last_offset,
            GREATEST(a.seen_epoch, u.seen_epoch) AS named_in_epoch
        FROM conversation c
        JOIN answers a USING (session_id, message_id)
        JOIN user_messages u USING (session_id, message_id)
        WHERE c.session_id = %(session_id)s AND c.message_id = wanted.message_id
        -- One look-up a message, by the whole key: with stale statistics of a young table the
        -- planner would join a session with itself, row by row.
        OFFSET 0
    ) AS m
) ON TRUE
ORDER BY m.first_epoch, m.first_offset;

-- name: ended_before
-- Which of some messages had ended before a place in the log: what the log says of them after that
-- counts no more.
SELECT message_id
FROM answers
WHERE session_id = %(session_id)s AND message_id = ANY (%(message_ids)s::text[])
  AND state IN ('complete', 'error') AND (epoch, last_offset) < (%(epoch)s, %(offset)s);
