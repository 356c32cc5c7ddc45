-- The newest messages of a session, whatever its length: a joiner is given them, and pages back.
--
-- Both columns are written once, when the answer begins: what changes with every chunk is in no
-- index of this table but the one of open answers.

CREATE INDEX idx_answers_session_first ON answers (session_id, first_epoch, first_offset);

CREATE INDEX idx_answers_session_open ON answers (session_id)
    WHERE state IN ('queued', 'generating');
