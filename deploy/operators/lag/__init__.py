"""How far each reader group is behind the log, and whether that is well.

Asked are the log (first offset, end, the time of the oldest record that waits) and the positions of
the groups. The workers' position is what they have committed to Kafka. The persister's is the row
in `kafka_offsets`, which moves in one transaction with the tables; what it commits to Kafka is a
copy for tools, and is shown as one.
"""
