"""The audit log: whether it is whole, and all of it as lines of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cove.cli import interruption, output
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.core.audit import Record, Verification
    from cove.wiring.reviewing import Desk

_AT_ONCE: Final = 1000


def verify(
    heads: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="HASH", help="A hash that a receipt has, or that you kept; may be repeated."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="An export, instead of the service's own log.")] = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """See that no record of the audit log was changed, removed or moved; print its newest hash. Exit 1 if one was."""
    with owner_errors(as_json=as_json):
        found = _verified_file(file, heads or ()) if file else interruption.run(_verified(settings_file, heads or ()))
    if as_json:
        output.document({"records": found.head.number, "head": found.head.hash, "problems": found.problems})
    else:
        for problem in found.problems:
            output.say(f"Error: {problem}")
        typer.echo(f"{found.head.number} records, the newest hash is {found.head.hash}")
    if found.problems:
        raise typer.Exit(output.FAILED)


def export(settings_file: SettingsFile = None) -> None:
    """Print every record as one line of JSON with its hash, the oldest first."""
    with owner_errors():
        interruption.run(_export(settings_file))


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="Check the audit log, or print it.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (("verify", verify), ("export", export))


async def _verified(settings_file: Path | None, heads: Sequence[str]) -> Verification:
    from cove.core.audit import Verification  # noqa: PLC0415 - light, and used here alone
    from cove.settings import load  # noqa: PLC0415 - the service's parts take long to import
    from cove.wiring.reviewing import open_desk  # noqa: PLC0415 - likewise

    found = Verification(heads)
    async with open_desk(load(settings_file)) as desk:
        counted = await desk.audit.counted()  # before the rest: a service may write meanwhile
        async for record in _records(desk):
            found.follow(record)
        found.end(max(counted, found.head.number))
    return found


def _verified_file(file: Path, heads: Sequence[str]) -> Verification:
    from cove.core.audit import Verification, record_of  # noqa: PLC0415 - light, and used here alone

    found = Verification(heads)
    with file.open("r", encoding="ascii", errors="replace") as lines:
        for line in lines:
            found.follow(record_of(line))
    found.end()
    return found


async def _export(settings_file: Path | None) -> None:
    from cove.core.audit import exported  # noqa: PLC0415 - light, and used here alone
    from cove.settings import load  # noqa: PLC0415 - the service's parts take long to import
    from cove.wiring.reviewing import open_desk  # noqa: PLC0415 - likewise

    async with open_desk(load(settings_file)) as desk:
        async for record in _records(desk):
            typer.echo(exported(record))


async def _records(desk: Desk) -> AsyncIterator[Record]:
    after = 0
    while batch := await desk.audit.records(after, _AT_ONCE):
        for record in batch:
            yield record
        after = batch[-1].number
