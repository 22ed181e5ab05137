"""Puts into an unpacked image what every run expects to find there."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from cove.core.errors import ImageRefused
from cove.core.images import ImageConfig, is_text
from cove.images.tree import Tree

_MAX_ACCOUNTS_BYTES: Final = 1 << 20
_ACCOUNTS: Final = {
    "passwd": ("root:x:0:0:root:/root:/bin/sh\n", "job:x:1000:1000:job:/home/job:/bin/sh\n"),
    "group": ("root:x:0:\n", "job:x:1000:\n"),
}


def finish(tree: Tree, config: ImageConfig) -> ImageConfig:
    """Give uid and gid 1000 a name, the job's home a place to stand on, and the image its own working directory.

    An image's own name for uid 1000 stays.

    Returns:
        The configuration, with the working directory as it is named without links.
    """
    tree.folder(("home", "job"))
    for name, (usual, ours) in _ACCOUNTS.items():
        _account(tree, name, usual, ours)
    if tree.stat(("etc", "hosts")) is None:
        _write(tree, ("etc", "hosts"), "127.0.0.1 localhost\n")
    parts = tree.resolve(tuple(config.working_directory.strip("/").split("/")))
    if not all(map(is_text, parts)):
        raise ImageRefused("The image's working directory has a name that is no text.")
    for length in range(1, len(parts) + 1):
        if tree.stat(parts[:length]) is None:
            tree.folder(parts[:length])
    return replace(config, working_directory="/" + "/".join(parts))


def _account(tree: Tree, name: str, usual: str, ours: str) -> None:
    place = tree.resolve(("etc", name))
    found = tree.read(place, _MAX_ACCOUNTS_BYTES).decode("utf-8", "surrogateescape") or usual
    if any(line.split(":")[2:3] == ["1000"] for line in found.splitlines()):
        return
    _write(tree, place, f"{found.rstrip()}\n{ours}")


def _write(tree: Tree, place: tuple[str, ...], text: str) -> None:
    descriptor = tree.file(place, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
