"""Reads what an algorithm left behind, as if it were out to harm us.

Every folder is opened relative to its parent's descriptor and no link is ever followed; what is not a regular file by
its opened descriptor is named and never read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from cove.core.policy import ALGORITHM_LOG, CAPTURED_LOG, OUTPUT, RawOutput
from cove.ports import Collected

CHUNK = 1 << 20
MAX_DEPTH = 64

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def survey(collected: Collected) -> list[RawOutput]:
    """List and hash everything that a run left. Blocking.

    The captured log comes under its own name, which a file of the job's can never take.
    """
    outputs = [_raw(collected.outputs, path, OUTPUT) for path in _walk(collected.outputs)]
    outputs += [_raw(collected.logs, path, ALGORITHM_LOG) for path in _walk(collected.logs) if path != CAPTURED_LOG]
    if collected.log.is_file():
        size, digest = hash_file(collected.log)
        outputs.append(RawOutput(CAPTURED_LOG, ALGORITHM_LOG, size, digest))
    return outputs


def place_of(collected: Collected, path: str, kind: str) -> Path:
    """Give where a surveyed file lies."""
    if kind == OUTPUT:
        return collected.outputs / path
    return collected.log if path == CAPTURED_LOG else collected.logs / path


def cut_tail(log: Path, tail: Path, size: int) -> None:
    """Write the end of a log to a file of its own, from the beginning of a line on. Blocking.

    Half a line would be compared with no line of the input; where there is one line alone, it begins with a character.

    Args:
        log: What a run printed.
        tail: Is replaced.
        size: Bytes at most.
    """
    descriptor = os.open(log, _FILE)
    try:
        end = os.fstat(descriptor).st_size
        begin = max(0, end - size)
        # With the byte before it, which tells whether a line begins there.
        content = os.pread(descriptor, min(size, end) + 1, max(0, begin - 1))
    finally:
        os.close(descriptor)
    if begin:
        line_end = content.find(b"\n")
        content = content[line_end + 1 :] if line_end >= 0 else _from_character(content[1:])
    unfinished = tail.with_suffix(".new")
    unfinished.write_bytes(content[:size])
    unfinished.replace(tail)


def _from_character(content: bytes) -> bytes:
    """Leave out what is left of a cut UTF-8 character: up to three bytes that begin none."""
    return re.sub(rb"\A[\x80-\xbf]{1,3}", b"", content)


def hash_file(path: Path) -> tuple[int, str]:
    """Give the size and sha256 of a regular file, not following a link at its end."""
    descriptor = os.open(path, _FILE)
    try:
        return _digest(descriptor)
    finally:
        os.close(descriptor)


def _walk(root: Path) -> Iterator[str]:
    """Give the relative path of everything below a folder that is not a folder itself."""
    try:
        top = os.open(root, _FOLDER)
    except FileNotFoundError:
        return
    try:
        yield from _walk_folder(top, "", 0)
    finally:
        os.close(top)


def _walk_folder(folder: int, prefix: str, depth: int) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = f"{prefix}{name}"
        try:
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as problem:
            if problem.errno in {errno.ENOTDIR, errno.ELOOP}:
                yield path
            continue
        try:
            if depth < MAX_DEPTH:
                yield from _walk_folder(below, f"{path}/", depth + 1)
        finally:
            os.close(below)


def _raw(root: Path, path: str, kind: str) -> RawOutput:
    try:
        descriptor = _open_below(root, path)
    except OSError:
        return RawOutput(path, kind, 0, "", regular=False)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return RawOutput(path, kind, 0, "", regular=False)
        size, digest = _digest(descriptor)
        return RawOutput(path, kind, size, digest)
    finally:
        os.close(descriptor)


def _open_below(root: Path, path: str) -> int:
    folder = os.open(root, _FOLDER)
    try:
        *folders, name = path.split("/")
        for part in folders:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _digest(descriptor: int) -> tuple[int, str]:
    """Hash up to the size that the file had when it was opened, so that a growing file cannot hold us."""
    left = os.fstat(descriptor).st_size
    digest = hashlib.sha256()
    size = 0
    while left > 0:
        block = os.read(descriptor, min(CHUNK, left))
        if not block:
            break
        digest.update(block)
        size += len(block)
        left -= len(block)
    return size, digest.hexdigest()
