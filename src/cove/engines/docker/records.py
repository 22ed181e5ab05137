"""What is kept of runs on this host: a folder each, with the record of the end, outputs, logs and the log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cove.core.errors import NoSpace, Unavailable
from cove.core.job import RunId
from cove.core.lifecycle import Exited

_MARK: Final = "exit.tmp"
_RECORD: Final = "exit.json"
_ASKED: Final = "asked.json"
_BYTES: Final = 4096


class Records:
    """The folders of all runs of one engine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[RunId, Exited] = {}

    def open(self) -> None:
        """Make the folder of folders."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def folder(self, run: RunId) -> Path:
        """Say where a run's folder is."""
        return self._root / run

    def all(self) -> list[RunId]:
        """List every run that there is a folder of."""
        return [RunId(entry.name) for entry in self._root.iterdir() if entry.is_dir()]

    def begin(self, run: RunId) -> None:
        """Write the mark that a run is about to start, with the room for its record: a full disk cannot hide an end.

        Raises:
            NoSpace: There is no room.
            Unavailable: It cannot be written for another reason.
        """
        folder = self.folder(run)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / _MARK).write_bytes(b" " * _BYTES)
        except OSError as problem:
            shutil.rmtree(folder, ignore_errors=True)
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpace("There is no space left for a run.") from None
            raise Unavailable("the engine's folder", f"A run's folder cannot be made: {problem.strerror}.") from None

    def began(self, run: RunId) -> float | None:
        """Say when a run was about to start here; None where it never was."""
        try:
            return (self.folder(run) / _MARK).stat().st_mtime
        except FileNotFoundError:
            return None

    def end(self, run: RunId, seen: Exited) -> None:
        """Write the record of an end; nothing where the run was removed meanwhile."""
        folder = self.folder(run)
        text = json.dumps(asdict(seen)).encode().ljust(_BYTES)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder / _MARK, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(descriptor, text, 0)
            finally:
                os.close(descriptor)
            (folder / _MARK).replace(folder / _RECORD)
            self._known[run] = seen

    def ended(self, run: RunId) -> Exited | None:
        """Give the record of an end."""
        if run not in self._known:
            try:
                self._known[run] = Exited(**json.loads((self.folder(run) / _RECORD).read_bytes()))
            except FileNotFoundError:
                return None
        return self._known[run]

    def ask(self, run: RunId, why: str, kill_at: float) -> bool:
        """Write down that a run was asked to end; False where it was before."""
        place = self.folder(run) / _ASKED
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        except OSError:
            return True  # a full disk: it is asked all the same
        with contextlib.suppress(OSError), os.fdopen(descriptor, "w") as file:  # a full disk holds the name alone
            file.write(json.dumps({"why": why, "kill_at": kill_at}))
        return True

    def asked(self, run: RunId) -> tuple[str, float]:
        """Say why a run was asked to end, and when (Unix time) it is killed; empty and 0 where it never was."""
        try:
            found = json.loads((self.folder(run) / _ASKED).read_bytes())
        except FileNotFoundError:
            return "", 0.0
        except ValueError:
            return "stopped", time.time()
        return found["why"], found["kill_at"]

    def remove(self, run: RunId) -> None:
        """Forget everything; may be repeated."""
        self._known.pop(run, None)
        folder = self.folder(run)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(folder, onerror=_unlocked)


def _unlocked(_call: object, path: str, _problem: object) -> None:
    parent = Path(path).parent
    if not stat.S_ISLNK(os.lstat(parent).st_mode):
        parent.chmod(0o700)
