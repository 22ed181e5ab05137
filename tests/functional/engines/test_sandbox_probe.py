"""What ``cove doctor`` finds out about the sandbox, beside other programs of the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Mounts come and go, as those of a container daemon do, while the sandbox is tried; in a mount namespace of its own.
SCRIPT = """
import ctypes, os, signal, sys
from cove.engines.sandbox import host

top = sys.argv[1]
libc = ctypes.CDLL(None)
places = [f"{top}/{number}" for number in range(60)]
restless = os.fork()
while restless == 0:
    for place in places:
        os.makedirs(place, exist_ok=True)
        assert libc.mount(b"none", place.encode(), b"tmpfs", 0, None) == 0
    for place in places:
        libc.umount2(place.encode(), 2)
        os.rmdir(place)
try:
    for _ in range(40):
        print(host.sandbox(host.bubblewrap()).seen)
finally:
    os.kill(restless, signal.SIGKILL)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount: run the tests as root")
def test_mounts_that_come_and_go_do_not_matter(tmp_path: Path) -> None:
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", SCRIPT, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert set(ended.stdout.splitlines()) == {"bubblewrap starts"}, ended.stderr
