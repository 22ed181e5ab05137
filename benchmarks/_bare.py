"""The reference for whole jobs: the sandbox alone, as one would write it by hand, running the same algorithm.

That is bubblewrap with the isolation that Cove asks of it (namespaces, system call filter, a user of its own where we
are root, cgroups where this machine has them, folders in memory), with the output in a folder and the log in a file.
What Cove adds is left out: no database, no supervisor, no provisioning, no release, no service.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cove.core.job import Container, Resources
from cove.engines import inside
from cove.engines.sandbox import host, images, plan, seccomp
from cove.ports import ImageSource

ALGORITHM = (
    "import json\n"
    "with open('/data/outputs/sum.json', 'w') as file:\n"
    "    json.dump({'sum': sum(int(line) for line in open('/data/inputs/table'))}, file)\n"
    "print('done')\n"
)
TABLE = "1\n2\n"
RESOURCES = Resources(1.0, 1 << 30, 1 << 30, 100_000, 128, 3600, 1 << 20)
UID = 299_000
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1"/cgroup.procs; shift; done; shift; exec "$@"'


class Bare:
    """Runs the algorithm in the sandbox alone.

    Args:
        folder: Takes the algorithm, its input and its outputs; others may enter it.
        limited: False leaves out the cgroups and the user of its own: bubblewrap and nothing else.
    """

    def __init__(self, folder: Path, *, limited: bool = True) -> None:
        self._folder = folder
        (folder / "algorithm").write_text(ALGORITHM)
        (folder / "table").write_text(TABLE)
        entries, _ = images.root_of({"host": ImageSource("host")}, Container("host"), "")
        root = [(place, source) for place, source in entries if not source.startswith(plan.BASE)]
        self._filter = seccomp.program() or b""
        self._limits = host.Limits.of_this_host() if limited else host.Limits(())
        self._drops = limited and os.getuid() == 0
        self._numbers = itertools.count()
        self._groups: list[str] = []
        drop = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if self._drops else []
        self._command = [
            *drop, host.bubblewrap(), "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000",
            "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL", *_binds(root),
            "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp",  # noqa: S108 - inside the sandbox
            "--tmpfs", "/data",
            "--ro-bind", str(folder / "algorithm"), inside.ALGORITHM, "--ro-bind", str(folder / "table"),
            "/data/inputs/table",
        ]  # fmt: skip

    def run(self) -> float:
        """Run once, and give the seconds that it took."""
        began = time.perf_counter()
        outputs = self._folder / f"outputs-{next(self._numbers)}"
        outputs.mkdir()
        if self._drops:
            os.chown(outputs, UID, UID)
        reading = os.memfd_create("filter")
        try:
            os.write(reading, self._filter)
            os.lseek(reading, 0, os.SEEK_SET)
            group = f"bare-{os.getpid()}-{outputs.name}"
            with outputs.with_suffix(".log").open("wb") as log:
                command = [
                    "/bin/sh", "-c", _JOIN, "sh", *self._make_groups(group), "--", *self._command,
                    "--bind", str(outputs), "/data/outputs", "--seccomp", str(reading), "--", "python3",
                    inside.ALGORITHM,
                ]  # fmt: skip
                subprocess.run(command, pass_fds=(reading,), stdout=log, stderr=log, check=True)
            self._groups.append(group)
        finally:
            os.close(reading)
        assert (outputs / "sum.json").read_text() == '{"sum": 3}'
        return time.perf_counter() - began

    def run_all(self, count: int, at_a_time: int) -> float:
        """Run many times, so many at a time, and give the seconds that all of them took."""
        began = time.perf_counter()
        with ThreadPoolExecutor(at_a_time) as pool:
            list(pool.map(lambda _: self.run(), range(count)))
        taken = time.perf_counter() - began
        self.clean()
        return taken

    def clean(self) -> None:
        """Remove the cgroups; apart, since a group stays busy for a moment and nothing waits for that here."""
        while self._groups:
            self._limits.end(self._groups.pop())

    def _make_groups(self, name: str) -> Sequence[str]:
        groups = self._limits.cgroups(name, RESOURCES)
        for folder, values in groups:
            Path(folder).mkdir(parents=True)
            for file, value in values:
                with contextlib.suppress(FileNotFoundError):
                    (Path(folder) / file).write_text(value)
        return [folder for folder, _ in groups]


def _binds(root: Sequence[tuple[str, str]]) -> list[str]:
    words: list[str] = []
    for place, source in root:
        words += ["--symlink", source[3:], place] if source.startswith("-> ") else ["--ro-bind", source, place]
    return words
