"""Release policies from a folder: one file per dataset, read anew whenever it changed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Final

from cove.core.errors import SettingsWrong, Unavailable
from cove.core.policyfile import PolicyFile, PolicyWrong, dataset_named, parse_policy
from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import ReleasePolicy
from cove.policies.samples import SampleWrong, place_of, problems_of
from cove.ports import Finding

log = logging.getLogger("cove.policies")

MAX_BYTES: Final = 1 << 20
"""Of one file."""

_DEFAULT: Final = ""
_SETTLED_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was when it last changed."""

    #: What tells a change; empty while the file is so new that a further change could leave it as it is.
    mark: tuple[int, ...]
    file: PolicyFile | None
    #: Why it cannot be used, with line and column; empty where it can.
    problem: str = ""
    #: Datasets that it is, or last was, about; None among them: it may be about any that has no file of its own.
    about: frozenset[str | None] = frozenset()


class FolderPolicies:
    """``Policies`` from the files ``*.toml`` of a folder.

    A file that cannot be used keeps jobs off the dataset that it names. Where it does not even say which that is, it
    keeps jobs off the dataset that it was about before, and off all that have no file of their own.

    A sample that cannot be used keeps the service from starting too, but later it is in the way of mock jobs alone.

    Args:
        folder: None: every dataset has the built-in policy.
        private: The local roots, by name, where no sample may lie.
    """

    def __init__(self, folder: Path | None, private: Mapping[str, Path] | None = None) -> None:
        self._folder = folder
        self._private = private or {}
        self._files: dict[str, _Read] = {}
        self._lock = Lock()

    def check(self) -> None:
        """Read everything. Blocking.

        Raises:
            SettingsWrong: The folder cannot be read, or a file of it cannot be used.
        """
        _, problems = self.survey()
        for problem in problems:
            raise PolicyWrong(problem, hint="cove policy check tells of all files.")

    async def of(self, datasets: Sequence[str]) -> tuple[ReleasePolicy, ...]:
        """Give the policy of each dataset as the files say now."""
        if self._folder is None:
            return tuple(ReleasePolicy() for _ in datasets)
        return await asyncio.to_thread(self.read, datasets)

    def read(self, datasets: Sequence[str]) -> tuple[ReleasePolicy, ...]:
        """Give the policy of each dataset as the files say now. Blocking; raises as :meth:`of` does."""
        self._refresh()
        return tuple(self._policy(dataset.lower()) for dataset in datasets)

    async def mocks(self, assets: Sequence[str]) -> tuple[MockRules, ...]:
        """Give what mock jobs may use of each asset, the places of its samples absolute."""
        if self._folder is None:
            return tuple(MockRules() for _ in assets)
        return await asyncio.to_thread(self._mocks, assets)

    def _mocks(self, assets: Sequence[str]) -> tuple[MockRules, ...]:
        self._refresh()
        return tuple(self._mock(asset.lower()) for asset in assets)

    def _mock(self, asset: str) -> MockRules:
        found = self._own(asset)
        if found is None:
            return MockRules()
        folder = Path(found.name).parent
        try:
            places = tuple(str(place_of(folder, name, self._private)) for name in found.mock.files)
        except SampleWrong as problem:
            log.error("%s: %s. Until it is corrected, no mock job starts on its dataset.", found.name, problem.text)  # noqa: TRY400 - known
            raise _no_sample(asset) from None
        return replace(found.mock, files=places)

    def survey(self) -> tuple[Sequence[PolicyFile], Sequence[str]]:
        """Give the good files, and what is wrong with the others. Blocking.

        Raises:
            SettingsWrong: The folder cannot be read.
        """
        try:
            self._refresh()
        except Unavailable as problem:
            raise SettingsWrong(problem.message) from None
        return [read.file for read in self._files.values() if read.file], self._problems()

    async def examine(self) -> Sequence[Finding]:
        """Look at every file."""
        part = "policies"
        if self._folder is None:
            seen = "no folder is set: the built-in policy holds for every dataset"
            return [Finding(part, ok=True, seen=seen)]
        try:
            await asyncio.to_thread(self._refresh)
        except Unavailable as problem:
            return [Finding(part, ok=False, seen=problem.message, advice="Correct policies.folder, or the folder.")]
        problems = self._problems()
        if problems:
            advice = "Correct it; until then no job starts on the dataset, or no mock job where a sample is wrong."
            return [Finding(part, ok=False, seen=problem, advice=advice) for problem in problems]
        return [Finding(part, ok=True, seen=f"{len(self._files)} files in {self._folder}")]

    def _policy(self, dataset: str) -> ReleasePolicy:
        found = self._own(dataset)
        if found is None:
            return ReleasePolicy()
        return replace(found.policy, digests=((dataset, found.digest),))

    def _own(self, dataset: str) -> PolicyFile | None:
        """Give the file that holds for a dataset; None: there is none.

        Raises:
            Unavailable: Nobody can tell.
        """
        reads = tuple(self._files.values())
        own = [read.file for read in reads if read.file and read.file.dataset == dataset]
        broken: set[str | None] = {did for read in reads if read.problem for did in read.about}
        if len(own) > 1 or dataset in broken:
            raise _unusable(dataset)
        if own:
            return own[0]
        default = [read.file for read in reads if read.file and read.file.dataset == _DEFAULT]
        if len(default) > 1 or _DEFAULT in broken or None in broken:
            raise _unusable(dataset)
        return default[0] if default else None

    def _problems(self) -> list[str]:
        """Give every fault, in the order of the files' names."""
        problems = [read.problem for _, read in sorted(self._files.items()) if read.problem]
        names: dict[str, list[str]] = {}
        for _, read in sorted(self._files.items()):
            if read.file:
                names.setdefault(read.file.dataset, []).append(read.file.name)
                problems += problems_of(read.file, self._private)
        for dataset, several in names.items():
            if len(several) > 1:
                what = f"{len(several)} files are about {dataset or 'default = true'}; one may be"
                problems.append(f"{' and '.join(several)}, line 1, column 1: {what}.")
        return problems

    def _refresh(self) -> None:
        """Read what is new or changed, and forget what is gone.

        Raises:
            Unavailable: The folder cannot be read.
        """
        if self._folder is None:
            return
        with self._lock:
            try:
                with os.scandir(self._folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.name.endswith(".toml"))
            except OSError as problem:
                text = f"The folder of policies {self._folder} cannot be read: {problem.strerror}."
                log.error(text)  # noqa: TRY400 - known, no trace needed
                raise Unavailable("the folder of policies", text) from None
            self._files = {name: self._current(name, self._folder / name) for name in names}

    def _current(self, name: str, path: Path) -> _Read:
        before = self._files.get(name)
        mark: tuple[int, ...] = ()
        try:
            found = path.stat()
            if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
                mark = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
            if before is not None and mark and before.mark == mark:
                return before
            if found.st_size > MAX_BYTES:
                return _broken(
                    mark, f"{path}, line 1, column 1: the file has more than {MAX_BYTES} bytes.", before, b""
                )
            content = path.read_bytes()
        except OSError as problem:
            text = f"{path}, line 1, column 1: the file cannot be read: {problem.strerror}."
            return _broken(mark, text, before, b"")
        try:
            file = parse_policy(content, str(path))
        except PolicyWrong as problem:
            return _broken(mark, problem.message, before, content)
        return _Read(mark, file, about=frozenset({file.dataset}))


def _broken(mark: tuple[int, ...], problem: str, before: _Read | None, content: bytes) -> _Read:
    if before is None or before.problem != problem:
        log.error("%s Until it is corrected, no job starts on its dataset.", problem)
    return _Read(mark, None, problem, _known(before) | {dataset_named(content)})


def _known(before: _Read | None) -> frozenset[str | None]:
    return before.about - {None} if before is not None else frozenset()


def _no_sample(dataset: str) -> Unavailable:
    return Unavailable(
        f"the sample of {dataset}",
        f"The sample of {dataset} cannot be used at present.",
        hint="Its owner must correct it; jobs that are no mock runs are not affected.",
    )


def _unusable(dataset: str) -> Unavailable:
    return Unavailable(
        f"the release policy of {dataset}",
        f"The release policy of {dataset} cannot be used at present.",
        hint="Its owner must correct it; nothing runs on the data until then.",
    )
