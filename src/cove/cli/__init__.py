"""The command ``cove``."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

# What the commands import takes a while: it is imported below, where a Ctrl-C is answered in order.


def build_app() -> typer.Typer:
    """Put the commands together."""
    from cove.cli.app import build  # noqa: PLC0415 - see above

    return build()


def main() -> None:
    """Run the command line, and end the process with what :mod:`cove.cli.app` says."""
    ended: list[int] = []
    atexit.register(_leave, ended)  # what is registered first is done last
    try:
        from cove.cli.app import run  # noqa: PLC0415 - see above

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    ended.append(code)
    sys.exit(code)


def _leave(ended: list[int]) -> None:
    """End a process that used Arrow before the interpreter is taken apart.

    Arrow's threads may still be letting go of what they had from Python. One that asks for the interpreter while it is
    being taken apart ends the process with SIGABRT, or never ends, when all work is done: apache/arrow#34314, #50482.

    Args:
        ended: The exit code; empty if an error ended the command, which Python then reports.
    """
    if not ended or "pyarrow" not in sys.modules:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(ended[0])
