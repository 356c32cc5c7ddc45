"""Kafka to Postgres: the log's events as rows, exactly once."""
