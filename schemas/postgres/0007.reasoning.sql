-- What a model thought aloud, apart from what it answered.
--
-- It stands whole in its answer's row, for it is shown, and never read in pieces, nor put together
-- with that of others: streaming_messages holds answers only. Writers put it behind what is there.
-- A writer of before this file knows nothing of it, and leaves the defaults.

ALTER TABLE answers
    ADD COLUMN reasoning TEXT NOT NULL DEFAULT '',
    ADD COLUMN last_reasoning_sequence INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN tool_calls_ignored INTEGER NOT NULL DEFAULT 0;

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
    a.continues,
    a.last_reasoning_sequence,
    a.tool_calls_ignored,
    a.reasoning
FROM user_messages u
LEFT JOIN answers a ON a.session_id = u.session_id AND a.message_id = u.message_id;
