"""Becomes the program of a server: in its own session already, it dies with the process that has started it.

Run as a script, without any import of ours. Its arguments are the number of a pipe of which only the parent has the
other end, and the program with its arguments.
"""

import fcntl
import os
import resource
import signal
import sys

__all__ = ["NOT_STARTED", "main"]

# The code with which it ends where there is no such program.
NOT_STARTED = 127


def main() -> None:
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    # A core file of a process with keys in its environment belongs nowhere.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    os.set_inheritable(lifeline, True)
    if sys.platform == "linux":
        # The kernel kills the whole group when the other end is closed, also when its owner was killed.
        _ = fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        _ = fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        _ = fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    try:
        os.execv(command[0], command)  # noqa: S606 - the settings name the program, and no shell reads it
    except OSError as error:
        _ = sys.stderr.write(f"{error.strerror}: {command[0]}\n")
        sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main()
