-- The attempt whose text an answer's current attempt goes on with.
--
-- While such an attempt has no chunk yet (`last_sequence` 0), the chunks in the answer's range are
-- those of the attempt before: its first chunk repeats their text, and replaces them.

ALTER TABLE answers ADD COLUMN continues TEXT;

CREATE OR REPLACE VIEW conversation AS
SELECT
    u.session_id,
    u.message_id,
    u.content                        AS prompt,
    u.created_at                     AS prompt_created_at,
    u.user_id,
    a.state,
    a.attempt,
    a.fence,
    a.released,
    a.starts,
    a.unended_starts,
    a.last_sequence,
    a.damaged,
    a.cancelling,
    a.position,
    a.model,
    a.worker,
    a.finish_reason,
    a.error_code,
    a.error_message,
    a.error_retryable,
    a.usage,
    a.timings,
    a.history,
    a.ended_at,
    COALESCE((
        SELECT string_agg(s.content, '' ORDER BY s.chunk_sequence)
        FROM streaming_messages s
        WHERE s.session_id = a.session_id
          AND s.chunk_sequence >= a.first_chunk_sequence
          AND s.chunk_sequence < a.next_chunk_sequence
          AND s.message_id = a.message_id
    ), '')                           AS content,
    COALESCE(a.shard, u.shard)       AS shard,
    a.first_epoch,
    a.first_offset,
    a.epoch,
    a.last_offset,
    u.epoch                          AS prompt_epoch,
    u.log_offset                     AS prompt_offset,
    a.continues
FROM user_messages u
LEFT JOIN answers a ON a.session_id = u.session_id AND a.message_id = u.message_id;
