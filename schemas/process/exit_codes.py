"""What a process's or a command's exit code says, to shells, supervisors and orchestrators."""

EXIT_FAILED = 1
EXIT_SETTINGS = 2
"""Settings or usage that can't be right: starting it again is of no use."""
EXIT_RUNS_ALREADY = 3
EXIT_INTERRUPTED = 130
"""By Ctrl-C, as shells have it."""
