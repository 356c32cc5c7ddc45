"""Kafka to model to Kafka: stateless workers that stream answers into the log."""
