"""The fold of a session on demand, from Postgres and the log, and the frame that carries it."""
