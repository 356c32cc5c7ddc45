"""A process of any tier whose reader is deaf or whose loop is stuck: it must notice by itself."""
