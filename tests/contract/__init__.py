"""Contract tests: what we rely on in a library or a server, against the real thing."""
