"""Limits that two tiers (or a tier and its clients) must agree on. Bytes are of UTF-8."""

CONTENT_MAX_BYTES = 32 * 1024
FRAME_MAX_BYTES = 6 * CONTENT_MAX_BYTES + 4 * 1024
"""Content that is short enough fits in however JSON writes it (`\\u0041` is six bytes for one)."""
SESSION_ID_MAX_CHARS = 255
MESSAGE_ID_MAX_CHARS = 64

ANSWER_MAX_BYTES = 256 * 1024
REASONING_MAX_BYTES = 256 * 1024
"""Of what a model thinks aloud no more is kept, in the log too; its answer goes on."""
ANSWER_MAX_S = 600.0
SNAPSHOT_MAX_BYTES = 512 * 1024
ENDED_MAX_IDS = 1000
HISTORY_PAGE = 20
HISTORY_PAGE_MAX = 100

HEARTBEAT_S = 15.0
BAD_FRAMES_MAX = 10

SHARD_LOG_MAX_BYTES = 32 * 1024 * 1024
SHARD_LOG_MAX_AGE_S = 120.0
SCAN_MAX_BYTES = 64 * 1024 * 1024

ALIVE_EVERY_S = 1.5
SILENCE_S = 5.0
MUTE_DEATHS_MAX = 3
"""So many starts after which nothing more was heard make a message poison: it kills its process in
the first moments."""
UNENDED_STARTS_MAX = 10
"""So many starts that ended neither by a terminal nor by `released`, whenever their process died,
are enough too: no process is killed for ever."""
ASSIGNMENT_FOLD_MARGIN_S = 60.0
"""The worker's fold begins this long before the first uncommitted message, so that a duplicate of a
recent message is recognised."""

SEND_TIMEOUT_S = 5.0
"""No send to Kafka is waited for longer; then its outcome is unknown."""
