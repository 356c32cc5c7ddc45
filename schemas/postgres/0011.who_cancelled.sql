-- Who asked that an answer be stopped, and when: the first `cancel` behind its message's own record.
--
-- It stands with what was said, for it comes by the same topic: what became of it is the answer's to
-- say (`finish_reason` is cancelled, unless the answer had ended by then). `cancelled_at` alone says
-- that there was one: who has no name left none. A writer of before this file leaves both null.

ALTER TABLE user_messages
    ADD COLUMN cancelled_by TEXT,
    ADD COLUMN cancelled_at TIMESTAMPTZ;

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
    a.reasoning,
    u.cancelled_by,
    u.cancelled_at
FROM user_messages u
LEFT JOIN answers a ON a.session_id = u.session_id AND a.message_id = u.message_id;
