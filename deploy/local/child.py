"""Become another program, in such a way that it never outlives the supervisor.

Run as a file, `python -I -S child.py PARENT USER SIGNAL -- program …`, so that it costs some
milliseconds. It asks the kernel for SIGNAL when PARENT dies, whatever kills PARENT, and then
becomes the program. USER is `-` or the uid to run as (PostgreSQL refuses to be root).
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


def become_user(uid: int) -> None:
    """Give up root for `uid`, keeping only the right to walk into folders that hide from it.

    A clone under /root can't be entered by another user. Opening those folders for everyone is
    not ours to do, so the process keeps one capability: reading what lies there.
    """
    os.setgroups([])
    os.setgid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_READ_SEARCH
    # effective, permitted, inheritable; twice, for capabilities 0-31 and 32-63
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    # Where the right is not to be had (a strict container), the folders may be open anyhow.
    if libc.capset(header, sets) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when `parent` is gone, also if it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the supervisor is gone")


def main() -> None:
    """Read the arguments and become the program."""
    parent, user, signal_number, _, *program = sys.argv[1:]
    if user != "-":
        become_user(int(user))
    # After the change of user: it clears the request.
    die_with_parent(int(parent), int(signal_number))
    try:
        os.execvp(program[0], program)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        raise SystemExit(f"{program[0]}: {error.strerror}") from None


if __name__ == "__main__":
    main()
