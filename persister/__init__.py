"""Kafka to Postgres: the log's events as rows, exactly once.

Rows and position change in one transaction, and the position moves only from the value that was
read (`WHERE next_offset = expected`). So a crash repeats nothing, and a process that was thought
dead and wakes up can't write. What is known of running answers is memory only: it is thrown away
whenever the outcome of a transaction is not a success, and read back from the rows.
"""
