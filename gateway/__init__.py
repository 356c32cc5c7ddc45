"""Browser to Kafka and back: a thin WebSocket edge over the log."""
