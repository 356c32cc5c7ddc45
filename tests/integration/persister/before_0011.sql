-- The statements of a persister of before 0011 that change user_messages, as it has them: in a rolling
-- upgrade it goes on with them in the tables of after. This file never changes.

-- name: put_prompts
-- The first record of an id in user_messages counts; what only the answer's events have told of
-- gives way to it. Sorted, so that two writers can't wait for each other.
INSERT INTO user_messages AS stored (
    session_id, message_id, content, user_id, created_at, shard, epoch, log_offset, seen_epoch,
    seen_offset
)
SELECT
    session_id, message_id, content, user_id, created_at, shard, epoch, log_offset, seen_epoch,
    seen_offset
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
    seen_offset = EXCLUDED.seen_offset
WHERE EXCLUDED.log_offset IS NOT NULL;

-- name: see_cancels
-- As long as the log holds a record that names a message, the message isn't lost. A cancel counts
-- only after the message's own record in the same topic: then it does not depend on how far the
-- other topic has been read.
UPDATE user_messages u
SET seen_epoch = c.epoch, seen_offset = c.log_offset
FROM json_to_recordset(%(rows)s::json)
    AS c (session_id TEXT, message_id TEXT, epoch BIGINT, log_offset BIGINT)
WHERE u.session_id = c.session_id AND u.message_id = c.message_id AND u.log_offset IS NOT NULL;
