"""Where the sample files of a policy file lie, and whether they can be used."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from cove.core.policyfile import PolicyFile


class SampleWrong(Exception):
    """A sample cannot be used.

    Args:
        text: Why, as a clause.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def place_of(folder: Path, name: str, private: Mapping[str, Path]) -> Path:
    """Give the place of a sample, without any link in it. Blocking.

    Args:
        folder: Of the policy file.
        name: A path below it, or an absolute one.
        private: The local roots, by name: what lies in one is data, and stands for no data.

    Raises:
        SampleWrong: It is not there, is no regular file, is a link or behind one, cannot be read, or is private.
    """
    above = Path(os.path.realpath(folder if not name.startswith("/") else Path(name).parent))
    place = above / (name if not name.startswith("/") else Path(name).name)
    real = Path(os.path.realpath(place))
    try:
        found = place.lstat()
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "the path makes no sense"
        raise SampleWrong(f"the sample {name} cannot be had: {why}") from None
    if real != place:
        raise SampleWrong(f"the sample {name} is a link, or behind one; give the file itself")
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise SampleWrong(f"the sample {name} is {what}; name each file")
    for root, path in private.items():
        if real.is_relative_to(os.path.realpath(path)):
            raise SampleWrong(
                f"the sample {name} lies in the local root {root}, among private files; keep it elsewhere"
            )
    if not os.access(place, os.R_OK):
        raise SampleWrong(f"the sample {name} may not be read by this service")
    return place


def problems_of(file: PolicyFile, private: Mapping[str, Path]) -> Iterator[str]:
    """Give a sentence, with line and column, for each sample of a policy file that cannot be used. Blocking."""
    for name, (line, column) in zip(file.mock.files, file.sample_places, strict=True):
        try:
            place_of(Path(file.name).parent, name, private)
        except SampleWrong as problem:
            yield f"{file.name}, line {line}, column {column}: {problem.text}."
