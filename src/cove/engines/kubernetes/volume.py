"""The runs' folders on the shared volume: what the pods are given there, and what they leave.

::

    <folder>/<digest of the run's id>/     0711: pods are shown single parts of it, and its name tells nothing
        run.json     which run it is, and when it was laid
        data/        read-only ``/data``: inputs, DDOs, the algorithm
        control/     read-only ``/.cove``: the keeper's script and orders, the first process's, the wish to stop
        kept/        the keeper's: the log, copies of the outputs, the record of the end
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shlex
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cove.core.errors import EngineUnfit
from cove.core.job import Bind, Run, RunId
from cove.engines import inside

_HERE: Final = Path(__file__).parent
_GRACE_SECONDS: Final = 10
_MARK: Final = "run.json"
#: After so many seconds nobody is at work on a folder that has no name yet.
_LEFT_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Facts:
    """What the volume tells of one run."""

    #: Unix time at which its folder was laid.
    laid_at: float
    user: int
    #: A keeper took it: its pod is, or was, the only one that may run it.
    taken: bool
    #: Somebody decided about its start: the keeper began it, or the service gave it up.
    begun: bool
    #: When the algorithm began; None before.
    started_at: float | None
    #: What the keeper, or the service that gave it up, recorded of its end; None before.
    record: dict[str, Any] | None
    #: The uid of the pod whose keeper took it; empty before.
    pod: str = ""


def says_how(record: Mapping[str, Any]) -> bool:
    """Say whether a record tells how its run ended.

    A keeper that sees the algorithm's container end without a word of it, and did not end it, only knows that it ended.
    """
    return record["code"] is not None or any(record.get(why) for why in ("stuck", "ended_by", "failure"))


class Volume:
    """All folders of one engine."""

    def __init__(self, root: Path, shell: Path, *, first_uid: int, uids: int) -> None:
        self.root = root
        self._shell = shell
        self._first_uid = first_uid
        self._uids = uids
        self._is_root = os.geteuid() == 0

    def start(self) -> None:
        """Make the top folder, and sweep out what a crash left half made or half removed."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        if self.root.stat().st_uid == os.geteuid():
            self.root.chmod(0o711)
        for left in self.root.glob(".*"):
            if time.time() - left.lstat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    def name(self, run: RunId) -> str:
        """Name a run's folder. Mounts show it inside, so it tells nothing of the job's id."""
        return hashlib.sha256(f"cove run {run}".encode()).hexdigest()[:32]

    def place(self, run: RunId) -> Path:
        """Give a run's folder."""
        return self.root / self.name(run)

    def runs(self) -> list[RunId]:
        """List every run that there is a folder of."""
        found: list[RunId] = []
        for folder in self.root.iterdir():
            with contextlib.suppress(OSError, ValueError):
                found.append(RunId(json.loads((folder / _MARK).read_bytes())["run"]))
        return found

    def facts(self, run: RunId) -> Facts | None:
        """Say what is known of a run; None when there is no folder of it."""
        place = self.place(run)
        try:
            laid = json.loads((place / _MARK).read_bytes())
        except FileNotFoundError:
            return None
        kept = place / "kept"
        record = _json(kept / "end.json")
        started = _json(kept / "started")
        return Facts(
            laid_at=laid["laid_at"],
            user=laid["user"],
            taken=(kept / "taken").exists(),
            begun=(kept / "begun").exists(),
            started_at=started,
            record=record,
            pod=_json(kept / "pod") or "",
        )

    def lay(self, run: Run) -> None:
        """Make a run's folder with all that it reads; one that is there is left as it is.

        Raises:
            OSError: The disk is full, for one.
            EngineUnfit: An input is nothing that can be brought to another machine.
        """
        place = self.place(run.id)
        if (place / _MARK).exists():
            return
        building = self.root / f".{secrets.token_hex(8)}"
        building.mkdir(mode=0o711)
        building.chmod(0o711)
        try:
            user = self._first_uid + int.from_bytes(secrets.token_bytes(4), "big") % self._uids
            self._lay_data(building / "data", run.binds)
            self._lay_control(building / "control", run, user)
            kept = building / "kept"
            kept.mkdir()
            if self._is_root:
                kept.chmod(0o700)
                os.chown(kept, user, user)
            else:
                kept.chmod(0o777)  # its name cannot be guessed, and no pod but the run's own is shown it
            _write(building / _MARK, json.dumps({"run": run.id, "user": user, "laid_at": time.time()}).encode())
            building.rename(place)
        except BaseException as problem:
            shutil.rmtree(building, ignore_errors=True)
            if isinstance(problem, OSError) and (place / _MARK).exists():
                return  # another submit of the same run was faster
            raise

    def _lay_data(self, top: Path, binds: Sequence[Bind]) -> None:
        for name in ("inputs", "ddos", "transformations", "outputs", "logs"):
            (top / name).mkdir(parents=True)
        for bind in binds:
            target = top / bind.target.removeprefix("/data/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if bind.content is not None:
                _write(target, bind.content)
            else:
                _bring(Path(bind.source), target)
            if bind.target == inside.ALGORITHM:
                target.chmod(0o755)
        for folder, below, _ in os.walk(top):
            for name in (folder, *(f"{folder}/{name}" for name in below)):
                Path(name).chmod(0o755)

    def _lay_control(self, top: Path, run: Run, user: int) -> None:
        (top / "pipes").mkdir(parents=True)
        order = {
            "log_bytes": run.resources.log_bytes,
            "seconds": run.resources.time_seconds,
            "grace": _GRACE_SECONDS,
            "disk_bytes": run.resources.disk_bytes,
            "umask": 0o077 if self._is_root else 0,
        }
        names = inside.names(user)
        texts = {
            "order.json": json.dumps(order),
            "environment": _exports(run),
            "command": _words(inside.command(run.container)),
            "words": _words(inside.command(run.container, has_shell=False)),
            "passwd": names["passwd"],
            "group": names["group"],
            "keeper.py": (_HERE / "keeper.py").read_text(encoding="utf-8"),
            "first.sh": (_HERE / "first.sh").read_text(encoding="utf-8"),
        }
        for name, text in texts.items():
            _write(top / name, text.encode())
        _share(self._tool(), top / "busybox")
        for folder in (top, top / "pipes"):
            folder.chmod(0o755)

    def _tool(self) -> Path:
        """Give the static busybox on the volume itself, so that a run's copy of it takes no room."""
        facts = self._shell.stat()
        place = self.root / f"busybox-{facts.st_size}-{int(facts.st_mtime)}"
        if not place.exists():
            new = place.with_name(f".{secrets.token_hex(8)}")
            try:
                shutil.copyfile(self._shell, new)
                new.chmod(0o755)
                new.rename(place)
            finally:
                new.unlink(missing_ok=True)
        return place

    # ------------------------------------------------------------------------------------------ deciding and ending

    def give_up(self, run: RunId, record: dict[str, Any]) -> bool:
        """End a run that has not begun; False when its keeper was faster."""
        kept = self.place(run) / "kept"
        try:
            (kept / "begun").mkdir()
        except (FileExistsError, FileNotFoundError):
            return False
        self.record(run, record)
        return True

    def record(self, run: RunId, record: dict[str, Any]) -> None:
        """Write down the end of a run in its keeper's place; one that is there and says how it ended stays."""
        kept = self.place(run) / "kept"
        place = kept / "end.json"
        new = kept / f".{secrets.token_hex(8)}"
        new.write_bytes(json.dumps(record).encode())
        try:
            os.link(new, place)
        except FileExistsError:
            if not says_how(_json(place)):
                new.replace(place)
        new.unlink(missing_ok=True)

    def cancel(self, run: RunId, grace_seconds: float) -> None:
        """Leave the wish to stop where the keeper looks; a second one changes nothing."""
        place = self.place(run) / "control" / "cancel"
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            new = place.with_name(f".{secrets.token_hex(8)}")
            new.touch()
            with contextlib.suppress(OSError):  # the disk is full: the usual grace then
                _write(new, str(grace_seconds).encode())
            new.chmod(0o644)
            try:
                os.link(new, place)
            finally:
                new.unlink()

    def kill(self, run: RunId) -> None:
        """Have the keeper end a run at once, and copy nothing: it is being removed."""
        with contextlib.suppress(FileNotFoundError):
            (self.place(run) / "control" / "kill").touch(mode=0o644)

    def own(self, run: RunId) -> None:
        """Make the copies of a run's outputs the service's own, where it may."""
        kept = self.place(run) / "kept"
        if not self._is_root or kept.stat().st_uid == 0:
            return
        for folder, _, names, descriptor in os.fwalk(kept):
            del folder
            for name in names:
                os.chown(name, 0, 0, dir_fd=descriptor, follow_symlinks=False)
            os.fchown(descriptor, 0, 0)

    def remove(self, run: RunId) -> None:
        """Forget a run's folder; may be repeated."""
        place = self.place(run)
        with contextlib.suppress(FileNotFoundError):
            # Renamed first: what is half removed is no run any more.
            gone = self.root / f".{secrets.token_hex(8)}"
            place.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def read_log(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log."""
        try:
            with (self.place(run) / "kept" / "log").open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            return b""


def _json(place: Path) -> Any:  # noqa: ANN401 - whatever was written
    try:
        return json.loads(place.read_bytes())
    except FileNotFoundError:
        return None


def _write(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    place.chmod(0o644)


def _exports(run: Run) -> str:
    """Write the run's variables as a shell reads them. PATH is the image's own, where it has one."""
    ours = inside.variables(secrets.token_hex(16))
    path = ours.pop("PATH")
    given = {name: value for name, value in run.environment if name != "PATH"}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**given, **ours}.items()]
    return "\n".join([*lines, f'export PATH="${{PATH:-{path}}}"', ""])


def _words(words: Sequence[str]) -> str:
    return f"set -- {shlex.join(words)}\n"


def _bring(source: Path, target: Path) -> None:
    """Have a file or folder on the volume, readable for the run's user; by a second name where that is enough."""
    facts = source.stat()
    if stat.S_ISDIR(facts.st_mode):
        target.mkdir(exist_ok=True)
        for entry in os.scandir(source):
            if entry.is_symlink():
                (target / entry.name).symlink_to(Path(entry.path).readlink())
            else:
                _bring(Path(entry.path), target / entry.name)
        return
    if stat.S_IMODE(facts.st_mode) & stat.S_IROTH and _share(source, target, copy=False):
        return
    if not stat.S_ISREG(facts.st_mode):
        raise EngineUnfit("An input is neither a file nor a folder, and cannot be brought to the cluster.")
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _share(source: Path, target: Path, *, copy: bool = True) -> bool:
    """Give a file a second name; where that cannot be, copy it."""
    try:
        os.link(source, target)
    except OSError:
        if copy:
            shutil.copy(source, target)
        return copy
    return True
