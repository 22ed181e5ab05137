# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The files by which a supervisor tells others how its run is. Standard library only."""

import fcntl
import json
import os

_RECORD_BYTES = 4096


def take(run):
    """Make and lock the file of the record, with its blocks, so that it can be written on a full disk.

    Gives what the keeper is told, and the file; None where the run is not ours: another supervisor has or had it, or
    there is no space for it.
    """
    mine = f"exit.{os.getpid()}"
    record = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=run)
    try:
        fcntl.flock(record, fcntl.LOCK_EX)
        os.write(record, b" " * _RECORD_BYTES)
        # Linked when it is locked: nobody ever sees a run that was taken and has no living supervisor.
        os.link(mine, "exit.tmp", src_dir_fd=run, dst_dir_fd=run)
    except FileExistsError:
        return b"!", None
    except OSError:
        return b"f", None
    finally:
        os.unlink(mine, dir_fd=run)
    if "exit.json" in os.listdir(run):
        os.unlink("exit.tmp", dir_fd=run)
        return b"!", None
    return b"!", record


def written(facts):
    """Give the record's text: names that an algorithm chose never make it too long to be read again."""
    text = json.dumps(facts).encode()
    while len(text) > _RECORD_BYTES and facts["left_out"]:
        facts["left_out"].pop()
        text = json.dumps(facts).encode()
    return text.ljust(_RECORD_BYTES)


def tell(top, name):
    """Let a service that listens know of a run's end."""
    try:
        descriptor = os.open("events", os.O_WRONLY | os.O_NONBLOCK, dir_fd=top)
        os.write(descriptor, name.encode() + b"\n")
    except OSError:
        return
