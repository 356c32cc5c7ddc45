"""As many files as the system lets a process open: each socket is one."""

import resource

OTHER_FILES = 200
"""Servers, log files, what the libraries open."""


def room_for_sockets() -> int:
    """Take all the files that may be had; give how many sockets that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 2**31
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(0, hard - OTHER_FILES)
