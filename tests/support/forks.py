"""Runs commands of ``cove`` in forks of a process that has loaded everything: what is killed a hundred times starts fast.

As a program it reads one JSON object a line, with ``arguments``, ``variables``, ``folder`` and ``output`` (a file for
standard output and error), and answers with the process id, and with the exit code once the command is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_LOADED = ("cove.cli.app", "cove.cli.market_chain", "cove.cli.ordering", "cove.client.buying", "cove.cli.node")


class Forks:
    """The process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, arguments: list[str], variables: Mapping[str, str], folder: Path, output: Path) -> int:
        """Start a command and give its process id."""
        asked = {"arguments": arguments, "variables": variables, "folder": str(folder), "output": str(output)}
        assert self._process.stdin is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return self._read()

    def end(self) -> int:
        """Wait for the end of the command and give its exit code; minus a signal's number where one ended it."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def forks() -> Iterator[Forks]:
    """Start the process that forks."""
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
    )
    with process:
        yield Forks(process)


def _main() -> None:
    import importlib  # noqa: PLC0415 - the program's alone

    for name in _LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(asked: Mapping[str, Any]) -> None:
    from cove.cli.app import run  # noqa: PLC0415 - loaded before

    code = 70
    try:
        os.chdir(asked["folder"])
        os.environ.update(asked["variables"])
        printed = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(printed, descriptor)
        code = run(asked["arguments"])
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _main()
