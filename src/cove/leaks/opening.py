"""Opens files for a reading process: regular ones, through no link, a batch at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from cove.leaks.process import frames

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotThereError(Exception):
    """A file is not the regular one that was surveyed."""


def open_regular(place: Path) -> tuple[int, int]:
    """Open a regular file, and give its descriptor and its size.

    Raises:
        NotThereError: It is none.
    """
    try:
        descriptor = os.open(place, _FLAGS)
    except (OSError, ValueError):
        raise NotThereError from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise NotThereError
    return descriptor, facts.st_size


def walk(place: Path) -> Iterator[tuple[Path, int]]:
    """Give every regular file of an input, which is one or a folder of some, with its size."""
    facts = place.stat()  # an owner's data may be a link; what is below a folder of it may not
    if stat.S_ISREG(facts.st_mode):
        yield Path(os.path.realpath(place)), facts.st_size
        return
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            found = Path(folder, name)
            size = found.lstat()
            if stat.S_ISREG(size.st_mode):
                yield found, size.st_size


def batches(places: Sequence[Path]) -> Iterator[AbstractContextManager[tuple[list[Path], list[int]]]]:
    """Open files, so many at a time as fit beside a message."""
    for start in range(0, len(places), frames.MAX_DESCRIPTORS):
        yield _opened(places[start : start + frames.MAX_DESCRIPTORS])


@contextmanager
def _opened(places: Sequence[Path]) -> Iterator[tuple[list[Path], list[int]]]:
    kept: list[Path] = []
    descriptors: list[int] = []
    try:
        for place in places:
            descriptors.append(open_regular(place)[0])
            kept.append(place)
        yield kept, descriptors
    finally:
        frames.close(descriptors)
