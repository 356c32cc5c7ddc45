-- What `talklog verify` asks, some sessions in one snapshot.

-- name: positions
SELECT topic, shard, epoch, next_offset FROM kafka_offsets;

-- name: gaps
SELECT topic, shard, from_offset, to_offset FROM log_gaps ORDER BY topic, shard, from_offset;

-- name: removed
-- How many messages of earlier epochs have left.
SELECT COALESCE(sum(messages), 0) AS messages FROM removed_rows WHERE epoch < %(epoch)s;

-- name: answers
SELECT * FROM answers WHERE session_id = ANY (%(sessions)s);

-- name: prompts
SELECT session_id, message_id, content, user_id, epoch, log_offset, cancelled_by, cancelled_at
FROM user_messages WHERE session_id = ANY (%(sessions)s);

-- name: chunks
SELECT session_id, message_id, chunk_sequence, attempt, sequence, content, is_complete
FROM streaming_messages WHERE session_id = ANY (%(sessions)s)
ORDER BY session_id, chunk_sequence;

-- name: answer_offsets
-- Answers of which all events are in what was read.
SELECT session_id, message_id, last_offset
FROM answers
WHERE shard = %(shard)s AND epoch = %(epoch)s AND first_epoch = %(epoch)s
  AND first_offset >= %(start)s AND last_offset < %(end)s;

-- name: prompt_offsets
SELECT session_id, message_id, log_offset
FROM user_messages
WHERE shard = %(shard)s AND epoch = %(epoch)s
  AND log_offset >= %(start)s AND log_offset < %(end)s;

-- name: stray_chunks
-- Chunks that belong to no answer, or lie outside the range that their answer names.
SELECT s.session_id, s.message_id, count(*) AS chunks
FROM streaming_messages s
LEFT JOIN answers a ON a.session_id = s.session_id AND a.message_id = s.message_id
WHERE a.message_id IS NULL
   OR a.first_chunk_sequence IS NULL
   OR s.chunk_sequence < a.first_chunk_sequence
   OR s.chunk_sequence >= a.next_chunk_sequence
GROUP BY s.session_id, s.message_id
ORDER BY s.session_id, s.message_id;
