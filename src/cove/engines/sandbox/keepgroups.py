# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The cgroups of one run, version 1 or 2, as its supervisor makes and reads them. Standard library only."""

import os

from keepmounts import Refused  # type: ignore[import-not-found]  # found beside this script

_WITHOUT_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")  # a kernel that counts no swap has neither


def make(groups):
    """Make groups with their limits.

    Args:
        groups: Folder, and the name and value of each limit, in the order in which they are to be written.
    """
    for folder, limits in groups:
        try:
            os.makedirs(folder, exist_ok=True)
            for name, value in limits:
                try:
                    with open(f"{folder}/{name}", "w") as file:
                        file.write(value)
                except FileNotFoundError:
                    if name not in _WITHOUT_SWAP:
                        raise
        except OSError:
            raise Refused("A cgroup of this host refused the job's limits.") from None


def join(groups):
    """Put this process into all of them."""
    for folder, _ in groups:
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))


def ran_out_of_memory(groups):
    """Say whether the system ended a process of theirs for memory."""
    for folder, _ in groups:
        for name in ("memory.oom_control", "memory.events"):
            try:
                with open(f"{folder}/{name}") as file:
                    for line in file:
                        key, _, count = line.partition(" ")
                        if key == "oom_kill" and int(count):
                            return True
            except OSError:
                continue
    return False


def remove(groups):
    """Remove them; where one is still busy, the engine's ``remove`` does it later."""
    for folder, _ in groups:
        try:
            os.rmdir(folder)
        except OSError:
            continue
