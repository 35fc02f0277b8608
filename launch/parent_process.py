"""
Tie the life of a child process to the life of its parent.

A campaign that is killed (``kill -9``, a closed session, the out-of-memory killer) must leave
nothing running behind it. On Linux the kernel can signal a process when its parent ends; this
module asks for that, and as a script it does so for a program that cannot ask for itself::

    python -I parent_process.py PARENT_PID SIGNAL PROGRAM ARGUMENT...

What that program writes is for its user only. The script imports nothing of this project, so that
it starts fast.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal_number: int = signal.SIGKILL) -> bool:
    """
    Have the kernel send a signal to this process when its parent ends.

    Parameters
    ----------
    parent : int
        The process id of the parent. If it has ended already this process ends at once.
    signal_number : int
        The signal to receive; it survives ``exec``.

    Returns
    -------
    bool
        False where the kernel knows no such request (anything but Linux).
    """
    if not sys.platform.startswith("linux"):
        return False
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    # The parent may have died before the request was in place.
    if os.getppid() != parent:
        os._exit(1)
    return True


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), int(sys.argv[2]))
    os.umask(0o077)
    os.execv(sys.argv[3], sys.argv[3:])
