"""What a reading process cannot do, tried in one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cove.core.kernel import MACHINES
from cove.leaks.process.confinement import program

TRY = """
import json, os, socket, sys
from cove.leaks.process.confinement import bound, confine
secret = sys.argv[1]
kept = os.open(secret, os.O_RDONLY)
bound(64 << 20, 5, 0)
held = confine()
answers = {}
def attempt(name, act):
    try:
        act()
        answers[name] = "done"
    except (OSError, MemoryError) as problem:
        answers[name] = type(problem).__name__
attempt("socket", lambda: socket.socket())
attempt("pair", lambda: socket.socketpair())
attempt("fork", os.fork)
attempt("run", lambda: os.execv("/bin/true", ["true"]))
attempt("write", lambda: os.open("/tmp/cove-confined", os.O_WRONLY | os.O_CREAT))
attempt("remove", lambda: os.unlink(secret))
attempt("rename", lambda: os.rename(secret, secret + "2"))
attempt("signal", lambda: os.kill(os.getppid(), 0))
attempt("read", lambda: os.open(secret, os.O_RDONLY))
attempt("memory", lambda: bytearray(200 << 20))
attempt("handed over", lambda: os.read(kept, 10))
attempt("import", lambda: __import__("xml.dom.minidom"))
print(json.dumps([held, answers]))
"""


def test_what_it_gives_up(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the provider")
    done = subprocess.run([sys.executable, "-I", "-c", TRY, str(secret)], capture_output=True, check=True, timeout=120)
    held, answers = json.loads(done.stdout)
    assert secret.read_text() == "of the provider"
    assert answers.pop("memory") == "MemoryError"
    assert (answers.pop("handed over"), answers.pop("import")) == ("done", "done")
    if "landlock" not in held:
        answers.pop("read")
    if "seccomp" not in held:
        pytest.skip("this machine has no system call filter of ours")
    assert set(answers.values()) == {"PermissionError"}, answers


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_is_whole_instructions(machine: str) -> None:
    code = program(machine)
    assert code
    assert len(code) % 8 == 0
    assert len(code) // 8 < 4096


def test_an_unknown_machine_has_none() -> None:
    assert program("vax") is None
