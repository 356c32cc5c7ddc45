-- What `talklog forget` asks of Postgres. It writes nothing there: the persister does.

-- name: counts
-- What there is of a session.
SELECT
    (SELECT count(*) FROM user_messages WHERE session_id = %(session)s) AS messages,
    (SELECT count(*) FROM streaming_messages WHERE session_id = %(session)s) AS chunks;

-- name: forgotten
-- Which of these sessions have been removed, and by the event at which place.
SELECT session_id, epoch, log_offset
FROM forgotten_sessions
WHERE session_id = ANY (%(sessions)s::text[]);

-- name: behind
-- How far the session log is in the rows, by shard.
SELECT shard, next_offset FROM kafka_offsets WHERE topic = %(topic)s AND epoch = %(epoch)s;

-- name: sessions_of
-- Where somebody has spoken, and whether anybody else has. Of a message that only its answer has
-- told of the speaker is not known yet; that is nobody else.
SELECT
    session_id,
    count(*) FILTER (WHERE user_id = %(user)s) AS own,
    count(*) AS messages,
    bool_or(user_id IS DISTINCT FROM %(user)s AND (user_id IS NOT NULL OR log_offset IS NOT NULL))
        AS shared
FROM user_messages
WHERE session_id IN (SELECT session_id FROM user_messages WHERE user_id = %(user)s)
GROUP BY session_id
ORDER BY session_id;
