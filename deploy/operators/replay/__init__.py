"""`talklog replay`: a session's conversation, read again."""
