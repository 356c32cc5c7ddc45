"""Run and watch: the talklog command, the local stack, replay and lag."""
