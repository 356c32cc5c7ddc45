"""`talklog forget`: erases a conversation, or all that one user has said alone."""
