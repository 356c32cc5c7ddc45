-- One session's messages as the persister has folded them, in the order of the log. A message of
-- which no answer is known yet (state is null) stands at the end.
SELECT * FROM conversation
WHERE session_id = %(session_id)s
ORDER BY first_epoch, first_offset, prompt_offset
