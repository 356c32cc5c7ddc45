"""Servers as a team has them: TLS and passwords, PgBouncer, sentinels, a cluster.

`make test-managed` runs these: they need Debian's redis-server, postgresql and pgbouncer.
"""
