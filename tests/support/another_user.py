"""Commands that run as another user of this host, where root runs the tests."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.contract.engines.test_other_user import USER, opened


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
    script = "\n".join([opened(needed, place), *before, f'exec {drop} "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"]
