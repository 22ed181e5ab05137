"""``cove verify``: a receipt, and files beside it, without a network."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from cove.cli import output
from cove.cli.owner import AsJson

_CHUNK: Final = 1 << 20
_TAR: Final = ".tar"


def verify(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The file receipt.json of a job's results.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILES...", help="Results to compare with it.")] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The account that must have signed it.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check a job's receipt offline: who signed it, and that files are the ones that it names; exit 1 otherwise."""
    from cove.core import receipt as receipts  # noqa: PLC0415 - light, and used here alone
    from cove.crypto.keys import keccak, personal_hash, recover  # noqa: PLC0415 - slow

    with output.reporting(as_json=as_json):
        with receipt.open("rb") as opened:
            content = opened.read(receipts.MAX_BYTES)
        given = [found for file in files or () for found in _digests(file)]
    try:
        found = receipts.opened(content, lambda signed, sig: recover(personal_hash(keccak(signed)), sig))
    except receipts.NoReceipt as problem:
        output.failure(str(problem), code="receipt", hint=None, as_json=as_json)
        raise typer.Exit(output.FAILED) from None
    problems = []
    if provider is not None and provider.lower() != found.signer.lower():
        problems.append(f"It was signed by {found.signer}, and not by {provider}.")
    matches = receipts.checked(found, given)
    strange = [output.one_line(name) for name, released in matches if not released]
    problems += [f"{name} is no file that this job released." for name in strange]
    known = [f"{output.one_line(name)} is {output.one_line(released)}" for name, released in matches if released]
    said = found.statement["predicate"]
    if as_json:
        output.document({
            "provider": found.signer,
            "files": {name: released or None for name, released in matches},
            "problems": problems,
            "statement": found.statement,
        })  # fmt: skip
    else:
        output.facts({
            "Signed by": found.signer if provider else f"{found.signer} (give --provider to compare it)",
            "Mock run": "yes: its inputs were synthetic samples" if said.get("mock") else "",
            "Image": str(said.get("image") or "unknown"),
            "End": str((said.get("end") or {}).get("outcome")),
            "Released": f"{len(said['released'])} files",
            "Files": "; ".join(known) or "none given",
        })  # fmt: skip
        for text in problems:
            output.say(f"Error: {text}")
    if problems:
        raise typer.Exit(output.FAILED)


def _digests(file: Path) -> Iterator[tuple[str, str]]:
    """Give name and digest of a file, or of each file in an archive of a job's outputs."""
    if file.suffix != _TAR or not tarfile.is_tarfile(file):
        with file.open("rb") as opened:
            yield str(file), _digest(opened)
        return
    with tarfile.open(file, "r:") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield f"{file}:{member.name}", _digest(content)


def _digest(opened: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := opened.read(_CHUNK):
        digest.update(block)
    return digest.hexdigest()
