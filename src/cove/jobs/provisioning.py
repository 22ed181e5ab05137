"""Brings a job's inputs to their places: bound where the data is on this host, else streamed, capped and hashed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TextIO

from cove.core.container import Place, file_name, plan
from cove.core.errors import AlgorithmMissing, CoveError, DataMissing, Invalid, NoSpace
from cove.core.filelist import attach_userdata, bound_to, parse_file_list
from cove.core.files import FileList, FileObject, LocalFile, PeerFile, ResultFileObject
from cove.core.job import Bind, InputAsset, Package, PeerFiles, SampleFiles, SealedFiles
from cove.core.trust import files_checksum, may_use_root
from cove.jobs import mocking
from cove.jobs.interruptible import Interrupted, StopFlag, awaited
from cove.jobs.parts import Parts
from cove.ports import IndexedInput, Reader
from cove.sources import source_for
from cove.sources.copying import copy_to


class SealedToAnother(DataMissing):
    """The file list is not encrypted to this provider's key."""


class Watched(Protocol):
    """What is told of the bringing while it goes on."""

    @property
    def stop(self) -> StopFlag:
        """Give the flag that is set from another thread when it shall end."""
        ...

    bytes_done: int
    bytes_total: int | None


@dataclass(frozen=True, slots=True)
class Brought:
    """The inputs of a run, each at its place."""

    binds: tuple[Bind, ...]
    environment: tuple[tuple[str, str], ...]
    #: Fingerprint of each file by its place in ``/data``.
    digests: tuple[tuple[str, str], ...]
    #: The datasets' files, where they lie on this host: what outputs are compared with.
    inputs: tuple[IndexedInput, ...]


@contextlib.contextmanager
def space_errors() -> Iterator[None]:
    """Turn "no space left" of the system into our own error."""
    try:
        yield
    except OSError as problem:
        if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace("There is no space left on the provider's disk.") from None
        raise


def open_files(parts: Parts, asset: InputAsset) -> FileList:
    """Open an asset's sealed file list, check that it is this asset's own, and add the consumer's parameters.

    Raises:
        SealedToAnother: It is encrypted to another key than this provider's.
        DataMissing: It belongs to another asset, is malformed, or names a folder it may not use.
    """
    if not isinstance(asset.files, SealedFiles):
        return FileList(())
    plain = _unsealed(parts, asset.files)
    try:
        listed = parse_file_list(plain)
        if asset.files.datatoken:
            bound_to(listed, asset.files.datatoken, asset.files.nft)
    except CoveError as problem:
        raise DataMissing(f"The encrypted file list cannot be used: {problem.message}.") from None
    for file in listed.files:
        if isinstance(file, LocalFile):
            allowed = parts.local_publishers.get(file.root, frozenset())
            if not may_use_root(asset.publisher, allowed):
                raise DataMissing("The asset's publisher may not name files of this provider's host.")
    own = asset.files.nft if asset.files.datatoken else ""
    files = (_owned(attach_userdata(file, asset.userdata), own) for file in listed.files)
    return FileList(tuple(files), listed.datatoken, listed.nft)


def _owned(file: FileObject, nft: str) -> FileObject:
    """Say whose published results a file is of: those of the asset that its list was found to be bound to."""
    return replace(file, nft=nft.lower()) if isinstance(file, ResultFileObject) else file


def _unsealed(parts: Parts, files: SealedFiles) -> bytes:
    try:
        return parts.vault.decrypt(bytes.fromhex(files.ciphertext.removeprefix("0x")))
    except ValueError:
        raise DataMissing("The encrypted file list is not in hexadecimal form.") from None
    except Invalid as problem:
        raise SealedToAnother(f"The encrypted file list cannot be used: {problem.message}.") from None


def bring(parts: Parts, package: Package, folder: Path, progress: Watched, log_path: Path) -> Brought:
    """Bring everything that a run reads. Blocking.

    Args:
        parts: Sources, vault and rules.
        package: What the job is about.
        folder: The job's workspace; files that must be copied go below it.
        progress: Is told how far it is, and asked whether to go on.
        log_path: The configuration log, for the consumer's eyes: it names files by their place, never by their URL.

    Raises:
        DataMissing: A dataset's file cannot be had.
        AlgorithmMissing: The algorithm's cannot.
        NoSpace: The disk is full.
        Interrupted: Somebody wished to stop.
    """
    mocking.check_package(package)
    with log_path.open("w", encoding="utf-8") as log:
        if package.mock:
            log.write("mock run: the files below are synthetic samples that stand for the datasets' own\n")
        datasets = [
            _listed(parts, log, asset, f"dataset {number}", progress) for number, asset in enumerate(package.datasets)
        ]
        algorithm = _listed_algorithm(parts, log, package, progress)
        layout = plan(package, [listed.files for listed in datasets], algorithm.files)
        binds: list[Bind] = []
        digests: list[tuple[str, str]] = []
        inputs: list[IndexedInput] = []
        for number, place in enumerate(layout.places):
            if place.file is None:
                binds.append(Bind("", place.target, place.content))
                digests.append((place.target, ""))
                continue
            source, digest = _bring_one(parts, place.file, place, folder / str(number), progress, log)
            binds.append(Bind(str(source), place.target))
            digests.append((place.target, digest))
            if place.dataset is not None:
                inputs.append(_indexed(place, place.file, source, digest))
        _check_algorithm(package, digests, log)
        log.write("all inputs are in place\n")
    return Brought(tuple(binds), layout.environment, tuple(digests), tuple(inputs))


def _indexed(place: Place, file: FileObject, source: Path, digest: str) -> IndexedInput:
    name = file_name(file) or place.target.rpartition("/")[2]
    return IndexedInput(place.dataset or "", source, digest if digest.startswith("sha256:") else standing(source), name)


def standing(place: Path) -> str:
    """Name the content of a file or folder that is not read for it: by what changes when anything below changes.

    The time of a file's last change of any kind cannot be set back by who writes it.
    """
    digest = hashlib.sha256()
    for path in _below(place):
        found = path.lstat()
        facts = (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        digest.update(f"{path.relative_to(place)}\0{facts}\0".encode("utf-8", "surrogateescape"))
    return f"stat:{digest.hexdigest()}"


def _below(place: Path) -> Iterator[Path]:
    yield place
    for folder, folders, files in os.walk(place):
        folders.sort()
        yield from (Path(folder) / name for name in sorted([*folders, *files]))


def _listed(parts: Parts, log: TextIO, asset: InputAsset, name: str, progress: Watched) -> FileList:
    try:
        if isinstance(asset.files, PeerFiles):
            return _listed_elsewhere(parts, asset, asset.files, progress)
        if isinstance(asset.files, SampleFiles):
            return mocking.listed(asset.files)
        return open_files(parts, asset)
    except DataMissing as problem:
        log.write(f"{name} {asset.did}: {problem.message}\n")
        raise


def _listed_elsewhere(parts: Parts, asset: InputAsset, files: PeerFiles, progress: Watched) -> FileList:
    """Ask the other provider how many files there are: to count until it refuses one would take a fault for the end."""
    try:
        facts = awaited(lambda: parts.peers.files(files.provider, asset.did, asset.service_id), progress.stop)
    except DataMissing as problem:
        raise DataMissing(_elsewhere(asset.did, problem)) from None
    return FileList(tuple(
        PeerFile(files.provider, asset.did, asset.service_id, files.order_tx, index, entry.filename, asset.userdata)
        for index, entry in enumerate(facts)
    ))  # fmt: skip


def _elsewhere(did: str, problem: DataMissing) -> str:
    return f"{did} is at another provider: {problem.message}"


def _listed_algorithm(parts: Parts, log: TextIO, package: Package, progress: Watched) -> FileList:
    try:
        return _listed(parts, log, package.algorithm, "algorithm", progress)
    except DataMissing as problem:
        raise AlgorithmMissing(problem.message) from None


def _bring_one(  # noqa: PLR0917 - each once
    parts: Parts, file: FileObject, place: Place, target: Path, progress: Watched, log: TextIO
) -> tuple[Path, str]:
    if progress.stop.is_set():
        raise Interrupted
    try:
        # An algorithm is always copied: it must be executable, and stay what was approved by its digest.
        may_bind = not place.target.startswith("/data/transformations")
        source, digest, told = _fetch(parts, file, target, progress, may_bind=may_bind)
    except DataMissing as problem:
        message = _elsewhere(file.did, problem) if isinstance(file, PeerFile) else problem.message
        log.write(f"{place.target}: {message}\n")
        if place.executable or place.target.startswith("/data/transformations"):
            raise AlgorithmMissing(f"{place.target}: {message}") from None
        raise DataMissing(f"{place.target}: {message}") from None
    if source == target:
        target.chmod(0o755 if place.executable else 0o644)
    log.write(f"{place.target}: {told}\n")
    return source, digest


def _fetch(parts: Parts, file: FileObject, target: Path, progress: Watched, *, may_bind: bool) -> tuple[Path, str, str]:
    source = source_for(file, parts.sources)
    bound = source.path(file) if may_bind else None
    if bound is not None:
        return bound, source.fingerprint(file) or "", "bound read-only"
    reader = awaited(lambda: source.open(file), progress.stop, Reader.close)
    try:
        if reader.length is not None:
            progress.bytes_total = (progress.bytes_total or 0) + reader.length
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            size, digest = copy_to(reader, descriptor, limit_bytes=None, stop=progress.stop.is_set)
        finally:
            os.close(descriptor)
    finally:
        reader.close()
    if progress.stop.is_set():
        raise Interrupted
    progress.bytes_done += size
    return target, f"sha256:{digest}", f"{size} bytes"


def _check_algorithm(package: Package, digests: list[tuple[str, str]], log: TextIO) -> None:
    """Refuse an algorithm whose bytes changed since its digest was approved at the start of the job."""
    wanted = package.algorithm.files_checksum
    if not wanted:
        return
    found = [digest.removeprefix("sha256:") for place, digest in digests if place.startswith("/data/transformations")]
    if files_checksum(found) != wanted.lower():
        log.write("algorithm: its files are not those that the dataset's owner approved\n")
        raise AlgorithmMissing("The algorithm's files are not those that the dataset's owner approved.")
