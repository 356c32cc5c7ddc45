"""Kafka I/O that all tiers share: shards as they grow, older ranges, durable writes."""
