"""What the next prompt holds: a session's turns, in Redis, rebuilt from Postgres and the log."""
