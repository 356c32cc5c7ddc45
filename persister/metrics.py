"""What the persister counts; shown on the admin port."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("talklog_persister_records", "Records whose transaction is done", ["topic"])
ROWS = Counter("talklog_persister_rows", "Rows written to streaming_messages")
EVENTS = Counter("talklog_persister_events", "Events of the session log by outcome", ["outcome"])
DEAD_LETTERS = Counter("talklog_persister_dead_letters", "Records that could not be stored")
SAVED_S = Histogram(
    "talklog_persister_save_seconds",
    "Time of one transaction",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ROLLED_BACK = Counter(
    "talklog_persister_rolled_back", "Transactions not done, by reason", ["reason"]
)
GAPS = Counter(
    "talklog_persister_gaps", "Ranges that the log lost before they were read", ["topic"]
)
LOST = Counter("talklog_persister_lost", "Answers that no log can end any more")
ROWS_REMOVED = Counter(
    "talklog_persister_rows_removed", "Rows that have left because they were old", ["table"]
)
OLDEST_KEPT_S = Gauge(
    "talklog_persister_oldest_kept_timestamp_seconds",
    "When the oldest message in the tables was said, as of the last look for old ones",
)
POSTGRES_UP = Gauge("talklog_persister_postgres_up", "1 if the last transaction got an answer")
STORE_NOT_RIGHT = Gauge(
    "talklog_persister_store_not_right",
    "1 while the tables refuse what is right: nothing is passed until they are put right",
)
POSITION = Gauge("talklog_persister_position", "Next offset to be stored", ["topic", "shard"])
"""Lag is this against the log's end; `talklog lag` reads it from the group's commits."""
