-- The conversation: one row a message, what was said and what became of it.
--
-- Why a view: gateway (snapshot), worker (history) and replay ask the same and share no code. Ask
-- with WHERE session_id = ..., and leave `content` out if the text isn't needed: it is put together
-- only when selected, from the attempt's own range of the unique index.
-- The order of a conversation is ORDER BY first_epoch, first_offset, prompt_offset (a message whose
-- answer has no event yet has only the last, and stands at the end).
-- A LEFT JOIN is enough: the first event of an answer brings its prompt in the same transaction. A
-- FULL JOIN would ask COALESCE(...) = ..., and read every answer there is.

CREATE VIEW conversation AS
SELECT
    u.session_id,
    u.message_id,
    u.content                        AS prompt,
    u.created_at                     AS prompt_created_at,
    u.user_id,
    a.state,                         -- null: said, but nothing is known of an answer
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
    u.log_offset                     AS prompt_offset
FROM user_messages u
LEFT JOIN answers a ON a.session_id = u.session_id AND a.message_id = u.message_id;
