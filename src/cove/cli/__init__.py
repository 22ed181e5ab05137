"""The command ``cove``."""

from __future__ import annotations

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
    try:
        from cove.cli.app import run  # noqa: PLC0415 - see above

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
