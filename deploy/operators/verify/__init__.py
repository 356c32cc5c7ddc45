"""Holds the log and Postgres to every rule, and names each place where one is broken.

The log is read shard by shard, so memory is what one shard's messages take: texts are kept as
checksums, one a message. Rows are compared with the fold at exactly the positions that Postgres
says it has, in one snapshot, so that a running system can be verified.

What the rules allow is counted, not reported: events of fenced attempts, events after a terminal,
repeats, records that became dead letters.
"""
