"""Puts a job's results into a folder, under names that cannot leave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import typer

from cove.cli.output import error_console, neutral
from cove.cli.progress import downloading
from cove.client import CoveClient, ResultEntry

_LONGEST_NAME: Final = 200
_DEEPEST: Final = 15


def fetch(
    client: CoveClient,
    job_id: str,
    entries: Sequence[ResultEntry],
    folder: Path,
    *,
    overwrite: bool,
    everything: bool = False,
) -> list[dict[str, object]]:
    """Fetch results and say where each one is.

    Args:
        client: Where from.
        job_id: The job.
        entries: Which of its results.
        folder: Where to; it is made when it is not there.
        overwrite: Replace files that are there.
        everything: Fetch the archive of all outputs, too, although its files are fetched one by one.

    Raises:
        typer.BadParameter: A file is there already, and ``overwrite`` is False; nothing was fetched.
    """
    # What has no digest is the archive that the server makes of the other files while it sends it.
    chosen = [entry for entry in entries if everything or entry.sha256 is not None] or list(entries)
    targets = [(entry, folder / name) for entry, name in zip(chosen, names(chosen), strict=True)]
    there = [target for _, target in targets if target.exists() or target.is_symlink()]
    if there and not overwrite:
        raise typer.BadParameter(f"{there[0]} is there already: give --overwrite, or another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    shown = error_console()
    fetched: list[dict[str, object]] = []
    for entry, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        with downloading(entry.filename, shown) as tell:
            client.download(job_id, entry.index, target, progress=tell, entry=entry)
        fetched.append({"index": entry.index, "path": str(target), "size": entry.filesize, "sha256": entry.sha256})
    return fetched


def names(entries: Sequence[ResultEntry]) -> Iterator[PurePosixPath]:
    """Give each result a relative path: inside the folder, visible, and no other's file or folder."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = safe_name(entry.filename, entry.index)
        if any(_key(parent) in files for parent in name.parents):
            name = PurePosixPath(name.name)
        while _key(name) in files | folders:
            name = name.with_name(f"{entry.index}-{name.name}")
        files.add(_key(name))
        folders.update(_key(parent) for parent in name.parents)
        yield name


def safe_name(filename: str, index: int) -> PurePosixPath:
    """Make a stranger's file name harmless.

    No part of it is empty, ``..``, hidden, overlong, or has characters that a terminal or another system would act on.
    """
    parts = [_safe_part(part) for part in filename.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    return PurePosixPath(*parts[-_DEEPEST:]) if parts else PurePosixPath(f"result-{index}")


def _safe_part(part: str) -> str:
    shown = neutral(part).replace("\\", "_").replace("\n", "_").replace("\t", "_").replace(":", "_")
    visible = "_" + shown[1:] if shown.startswith((".", "-", "~")) else shown
    return visible.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")


def _key(path: PurePosixPath) -> str:
    """Give what a file system that ignores case would compare."""
    return str(path).casefold()
