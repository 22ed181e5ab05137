"""Looks at files in a process of its own: a reader that ends its process ends an example and not the tests.

The process is fresh as well, which makes its memory measurable: what Arrow and the other libraries take beside Python
counts. (``tracemalloc`` sees none of that, and ends with SIGSEGV where it is stopped while one of Arrow's threads waits
for the interpreter: python/cpython#128679.)

As a program it reads the length of a file, eight bytes, and the file; and answers with one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
_HANGS: Final = 300.0
"""Seconds after which it is said that a file is never done; of a busy machine."""

_MEMBERS: Final = 200
_UNPACKED: Final = 16 << 20


@dataclass(frozen=True)
class Looked:
    """What one look gave.

    Args:
        path: The file's.
        opaque: Why it could not be read; empty if it could.
        seconds: Of processors.
        memory: The most bytes that the process held, beside those that it held before.
    """

    path: str
    opaque: str
    seconds: float
    memory: int


class Looker:
    """The process, which is started when there is something to look at."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its id; it must have looked at something.

        Raises:
            AssertionError: It has not.
        """
        assert self._process is not None
        return self._process.pid

    def look(self, content: bytes) -> Looked:
        """Look at a file.

        Raises:
            AssertionError: The process ended, or did not answer.
        """
        if self._process is None:
            words = [sys.executable, "-m", "tests.support.looking"]
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # its end is told below
            self._process.stdin.write(len(content).to_bytes(8, "little") + content)
            self._process.stdin.flush()
        answers, _, _ = select.select([self._process.stdout], [], [], _HANGS)
        line = self._process.stdout.readline() if answers else b""
        if not line:
            if not answers:
                self._process.kill()
            code = self.close()
            ending = "never ended" if not answers else f"ended with {signal.Signals(-code).name if code < 0 else code}"
            raise AssertionError(f"The process that looked at {len(content)} bytes {ending}.")
        return Looked(**json.loads(line))

    def close(self) -> int:
        """End the process and give its exit code; zero if there was none."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            return process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def looker() -> Iterator[Looker]:
    """Give what looks, and end it."""
    made = Looker()
    try:
        yield made
    finally:
        made.close()


def _main() -> None:
    from tests.support import leaking, schemas  # noqa: PLC0415 - the program's alone
    from tests.support.leakcheck import index_of, scanner_of  # noqa: PLC0415
    from tests.support.memory import forget_peak, peak  # noqa: PLC0415

    from cove.core.releasepolicy import LeakRules  # noqa: PLC0415

    index = index_of(leaking.as_csv(schemas.people(2000)))
    leaks = LeakRules(canaries=frozenset({"canary"}), identifiers=frozenset({"city"}))
    while size := sys.stdin.buffer.read(8):
        content = sys.stdin.buffer.read(int.from_bytes(size, "little"))
        scanner = scanner_of(index, leaks, unpacked_bytes=_UNPACKED, members=_MEMBERS)
        before, began = forget_peak(), time.process_time()
        report = scanner.file("a", "output", "", content)
        seconds = time.process_time() - began
        memory = peak() - before
        answer = {"path": report.path, "opaque": report.opaque, "seconds": seconds, "memory": memory}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)  # Arrow's threads may end a process that takes itself apart; see cove.cli


if __name__ == "__main__":
    _main()
