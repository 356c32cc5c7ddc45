"""`talklog rebuild`: the tables once more from the log."""
