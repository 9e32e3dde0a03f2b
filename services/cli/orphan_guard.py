"""`python orphan_guard.py PARENT_PID COMMAND…`: run COMMAND so that it gets SIGTERM when its parent dies.

A program of its own, because the alternative (a function between fork and exec) is unsafe in a process with gRPC's
threads. The setting of prctl(2) survives exec; the parent may have died before it was made.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
