"""Become another program, in such a way that it never outlives the supervisor.

Run as a file, `python -I -S child.py PARENT USER SIGNAL -- program …`, so that it costs some
milliseconds. It asks the kernel for SIGNAL when PARENT dies, whatever kills PARENT, and then
becomes the program. USER is `-` or the uid to run as (PostgreSQL refuses to be root).
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


def become_user(uid: int) -> None:
    """Give up root for `uid`, keeping only the right to walk into folders that hide from it.

    A clone under /root can't be entered by another user, and opening those folders for everyone
    is not ours to do. So the process keeps one capability, to read what lies there, or, where a
    container does not have that one, to pass by permissions. With neither it has no more rights
    than the user; that is enough where the folders are open.
    """
    os.setgroups([])
    os.setgid(uid)
    libc = ctypes.CDLL(None, use_errno=True)
    # Else access(2), with which PostgreSQL looks at its own programs, would not use the right.
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; twice, for capabilities 0-31 and 32-63
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    kept = next((cap for cap in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if sets[1] >> cap & 1), -1)
    os.setuid(uid)
    bit = 1 << kept if kept >= 0 else 0
    if libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)) != 0:
        raise SystemExit(f"root's rights could not be given up (errno {ctypes.get_errno()})")
    if bit:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept, 0, 0)


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
