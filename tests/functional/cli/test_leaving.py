"""How the process of a command ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

#: A command of its own in the place of Cove's; an object of the program tells when the interpreter is taken apart.
_PROGRAM: Final = """
import atexit, os, sys
import cove.cli, cove.cli.app

class Last:
    def __del__(self, write=os.write):
        write(1, b"taken apart\\n")

last = Last()
atexit.register(lambda: print("in order"))

def run(arguments):
    if arguments[0] == "arrow":
        import pyarrow
    if arguments[1] == "error":
        raise LookupError("of the command")
    if arguments[1] == "interrupt":
        raise KeyboardInterrupt
    print("done", end="\\n")
    atexit.register(lambda: print("first"))
    return int(arguments[1])

cove.cli.app.run = run
cove.cli.main()
"""


def _left(*arguments: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, timeout=180, check=False
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("code", ["0", "3"])
def test_a_command_that_used_arrow_ends_before_the_interpreter_is_taken_apart(code: str) -> None:
    assert _left("arrow", code) == (int(code), ["done", "first"], "")


def test_a_command_that_used_no_arrow_ends_as_all_programs_do() -> None:
    assert _left("none", "3") == (3, ["done", "first", "in order", "taken apart"], "")


def test_an_error_of_a_command_that_used_arrow_is_told() -> None:
    code, _, told = _left("arrow", "error")

    assert code == 1
    assert told.rstrip().endswith("LookupError: of the command")


def test_a_ctrl_c_in_a_command_that_used_arrow_has_its_code() -> None:
    assert _left("arrow", "interrupt")[0] == 130
