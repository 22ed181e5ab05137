"""Commands that run as another user of this host, where root runs the tests."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

USER = 54_321
INSIDE = "COVE_TEST_AS_OTHER_USER"
"""Set where the tests run as another user already."""
ROOT_MAY = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user: the suite ran as this one already"),
    pytest.mark.skipif(INSIDE in os.environ, reason="only root may become another user, and did"),
    pytest.mark.skipif(
        shutil.which("unshare") is None or shutil.which("setpriv") is None,
        reason="there is no unshare or setpriv here: apt-get install util-linux",
    ),
]


@contextlib.contextmanager
def folder_of_another() -> Iterator[Path]:
    """Give a folder of the other user's; pytest's own lie below one that is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="cove-user-", dir="/tmp"))
    os.chown(folder, USER, USER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def become(place: Path, root: Path, *before: str) -> list[str]:
    """Give the beginning of a command that runs the rest as the other user.

    Args:
        place: A folder of that user's.
        root: Folder of the repository, which that user can read then.
        before: Lines of shell that root runs first.
    """
    needed = [folder.resolve() for folder in (Path(sys.base_prefix), Path(sys.prefix), root)]
    drop = shlex.join(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"])
    script = "\n".join([_opened(needed, place), *before, f'exec {drop} "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"]


def passes(start: Sequence[str], files: Sequence[Path], place: Path, root: Path, least: int = 20) -> None:
    """Run test modules by a command that changes the user, and see that they were run, and passed.

    Args:
        start: The beginning of the command.
        files: The modules.
        place: A folder of that user's.
        root: Folder of the repository.
        least: Tests that must have passed for each module.
    """
    tried = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here ({tried.stderr.strip()}): run the tests with CAP_SYS_ADMIN")
    words = [sys.executable, "-m", "pytest", *map(str, files), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [*start, *words, f"--basetemp={place}/base"],
        cwd=root,
        env=environment(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None, run.stdout
    assert int(passed[1]) >= least * len(files)


def environment(place: Path) -> dict[str, str]:
    others = ("PYTEST_", "COV_", "XDG_", "COVE_TEST_KUBERNETES", "KUBECONFIG")  # a cluster is root's
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {INSIDE: "1", "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1"}


def _opened(needed: Sequence[Path], place: Path) -> str:
    """Give shell commands that show folders to everybody, in a mount namespace, whatever folder closes them off.

    Root's own Python may lie below ``/root``: what is closed is covered, and what is needed of it bound above.
    """
    closed = {top for folder in needed if (top := _closed(folder)) is not None}
    wanted = sorted({folder for folder in needed if _closed(folder) is not None})
    lines = [f"umask 022; kept=$(mktemp -d -p {shlex.quote(str(place))})"]
    for number, folder in enumerate(wanted):
        lines.append(f'mkdir "$kept/{number}"; mount --bind {shlex.quote(str(folder))} "$kept/{number}"')
    lines += [f"mount -t tmpfs -o mode=0755 cove-test {shlex.quote(str(top))}" for top in sorted(closed)]
    for number, folder in enumerate(wanted):
        name = shlex.quote(str(folder))
        lines.append(f'mkdir -p {name}; mount --bind "$kept/{number}" {name}; umount "$kept/{number}"')
    return "\n".join([*lines, 'rm -r "$kept"'])


def _closed(folder: Path) -> Path | None:
    """Give the topmost folder on the way that others may not enter."""
    way = [*reversed(folder.parents), folder]
    return next((part for part in way if not part.stat().st_mode & stat.S_IXOTH), None)
