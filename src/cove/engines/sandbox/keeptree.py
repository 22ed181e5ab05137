# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The process tree of one run, as its supervisor ends it. Standard library only."""

import os
import signal

from keepmounts import libc  # type: ignore[import-not-found]  # found beside this script

_SET_CHILD_SUBREAPER = 36


def adopt():
    """Become the parent of what is left of the sandbox when bubblewrap itself has ended."""
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid):
    """List the children of a process, the oldest first; none where the system does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def end():
    """Leave nothing of the tree, and return when it is gone.

    Bubblewrap does not wait for the sandbox's first process, which becomes our child then. Whatever an algorithm did to
    it, it cannot escape this signal, and it can be waited for only when its whole process namespace is gone.
    """
    while True:
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def abandon():
    """End the tree at once, and this process with it, without a word of how it was."""
    try:
        end()
    finally:
        os._exit(1)
