"""The suite once more as other users than root, where root runs the tests."""

from __future__ import annotations

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

SUITE = ("test_engine.py", "test_container.py", "test_attacks.py", "test_attacks_outside.py")
INSIDE = "COVE_TEST_AS_OTHER_USER"
USER = 54_321

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user: the suite ran as this one already"),
    pytest.mark.skipif(INSIDE in os.environ, reason="only root may become another user, and did"),
    pytest.mark.skipif(
        shutil.which("unshare") is None or shutil.which("setpriv") is None,
        reason="there is no unshare or setpriv here: apt-get install util-linux",
    ),
]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the other user's; pytest's own lie below one that is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="cove-user-", dir="/tmp"))
    os.chown(folder, USER, USER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_suite_passes_as_an_ordinary_user(place: Path, pytestconfig: pytest.Config) -> None:
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
    needed = [folder.resolve() for folder in (Path(sys.base_prefix), Path(sys.prefix), pytestconfig.rootpath)]
    script = f'{opened(needed, place)}\nexec {shlex.join(become)} "$@"'
    words = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"]
    passes(words, SUITE, place, pytestconfig.rootpath)


def test_attacks_fail_as_root_by_another_name(place: Path, pytestconfig: pytest.Config) -> None:
    """In a user namespace of one user: to the host it is still root, so whatever escapes owns everything."""
    os.chown(place, 0, 0)
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    passes(words, ("test_attacks.py", "test_attacks_outside.py"), place, pytestconfig.rootpath)


def passes(start: Sequence[str], files: Sequence[str], place: Path, root: Path) -> None:
    """Run part of the suite by a command that changes the user, and see that it was run, and passed."""
    tried = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces here ({tried.stderr.strip()}): run the tests with CAP_SYS_ADMIN")
    paths = [str(Path(__file__).with_name(name)) for name in files]
    words = [sys.executable, "-m", "pytest", *paths, "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
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
    assert int(passed[1]) >= 20 * len(files)


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "XDG_"))}
    return kept | {INSIDE: "1", "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1"}


def opened(needed: Sequence[Path], place: Path) -> str:
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
