"""Which images an environment runs: patterns of names as registries use them, and digests.

A name is looked at in full: ``python`` is ``docker.io/library/python:latest``, and ``cove/host:1`` is
``docker.io/cove/host:1``. Patterns are completed in the same way where they begin with a plain name, so that
``python*`` does not let ``python.example/miner:1`` through. ``*`` matches any text, ``/`` too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from cove.core.job import Container

_DIGEST: Final = re.compile(r"sha256:[0-9a-fA-F]{64}", re.ASCII)
_HUB: Final = "docker.io"
_WILD: Final = frozenset("*?[")
_NAMED: Final = 20


def image_problem(container: Container, patterns: Sequence[str], *, digests_only: bool) -> str:
    """Say in a sentence why an image may not be used; empty when it may.

    Args:
        container: What an algorithm asks for.
        patterns: Any of them must match; empty lets every name through.
        digests_only: True: the checksum must be a digest in full, 64 hex digits.
    """
    if patterns and not any(_matches(container.reference, pattern) for pattern in patterns):
        listed = ", ".join(patterns[:_NAMED]) + (", .." if len(patterns) > _NAMED else "")
        return f"The image {container.reference} is not allowed here; allowed are: {listed}."
    if digests_only and _DIGEST.fullmatch(container.checksum) is None:
        return f"The image {container.reference} needs a checksum of sha256: and all 64 hex digits of its digest here."
    return ""


def _matches(reference: str, pattern: str) -> bool:
    name, tag = _parts(reference)
    if any(part in {"", ".", ".."} for part in name.split("/")):
        return False
    name, wanted = _completed(name), _completed(pattern)
    any_tag = ":" not in pattern.rpartition("/")[2]
    return fnmatchcase(f"{name}:{tag}", wanted) or (any_tag and fnmatchcase(name, wanted))


def _parts(reference: str) -> tuple[str, str]:
    """Split a reference into name and tag; a digest behind ``@`` is neither."""
    plain = reference.partition("@")[0]
    folder, slash, last = plain.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{folder}{slash}{name}", tag or "latest"


def _completed(name: str) -> str:
    """Put the registry before a name that has none; one in any case is written in small letters."""
    first, slash, rest = name.partition("/")
    if first[:1] in _WILD:
        return name
    if not slash:
        return f"{_HUB}/library/{name}"
    if "." in first or ":" in first or first == "localhost" or _WILD & set(first):
        return f"{first.lower()}/{rest}"
    return f"{_HUB}/{name}"
