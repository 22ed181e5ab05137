"""The owner's commands that publish, withdraw and open assets, on a chain or in the catalogue's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from cove.cli import interruption, keys, output, submission
from cove.cli.market_chain import ChainId, DryRun, market_errors
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.cli.publishing import Where

Local = Annotated[
    bool, typer.Option("--local", help="Without a chain: in the folder that catalog.folder of the settings names.")
]
File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Its description: docs/howto/publish.md.")]
Did = Annotated[str, typer.Argument(metavar="DID[:SERVICE]", help="The dataset.")]
Algorithms = Annotated[list[str], typer.Argument(metavar="ALGORITHM...", help="DIDs of algorithms.")]


def dataset(  # noqa: PLR0917 - typer reads options from parameters
    file: File,
    local: Local = False,  # noqa: FBT002 - a flag
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    chain: ChainId = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Publish a dataset, and print its DID; run again, it goes on where it was, or brings a change of the file."""
    with _errors(as_json=as_json):
        where = _where(local, dry_run, chain, key_file, password_file, settings_file, as_json=as_json)
        _publish(where, "dataset", file)


def algorithm(  # noqa: PLR0917 - typer reads options from parameters
    file: File,
    local: Local = False,  # noqa: FBT002 - a flag
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    chain: ChainId = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Publish an algorithm, and print its DID; run again, it goes on where it was, or brings a change of the file."""
    with _errors(as_json=as_json):
        where = _where(local, dry_run, chain, key_file, password_file, settings_file, as_json=as_json)
        _publish(where, "algorithm", file)


def unpublish(  # noqa: PLR0917 - typer reads options from parameters
    did: Annotated[str, typer.Argument(metavar="DID", help="The asset.")],
    local: Local = False,  # noqa: FBT002 - a flag
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    chain: ChainId = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Withdraw an asset: nobody can order or use it any more (state 3, revoked)."""
    named = submission.parse_asset(did).did
    with _errors(as_json=as_json):
        from cove.cli.publishing import withdraw  # noqa: PLC0415 - the service's parts take long to import

        where = _where(local, dry_run, chain, key_file, password_file, settings_file, as_json=as_json)
        changed = interruption.run(withdraw(where, named))
    if changed is None:
        return
    if as_json:
        output.document({"did": named, "state": 3, "changed": changed})
    else:
        output.say("Withdrawn." if changed else "It was withdrawn before.")


def trust_add(  # noqa: PLR0917 - typer reads options from parameters
    did: Did,
    algorithms: Algorithms,
    local: Local = False,  # noqa: FBT002 - a flag
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    chain: ChainId = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Let algorithms run on a dataset, each as it is now: its files and its container are approved by their digests."""
    with _errors(as_json=as_json):
        where = _where(local, dry_run, chain, key_file, password_file, settings_file, as_json=as_json)
        _trust(where, did, algorithms, add=True)


def trust_remove(  # noqa: PLR0917 - typer reads options from parameters
    did: Did,
    algorithms: Algorithms,
    local: Local = False,  # noqa: FBT002 - a flag
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    chain: ChainId = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Let algorithms run on a dataset no more; after the last one, none may."""
    with _errors(as_json=as_json):
        where = _where(local, dry_run, chain, key_file, password_file, settings_file, as_json=as_json)
        _trust(where, did, algorithms, add=False)


def trust_list(
    did: Did,
    local: Local = False,  # noqa: FBT002 - a flag
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List the algorithms that may run on a dataset."""
    from cove.cli import publishing  # noqa: PLC0415 - the service's parts take long to import
    from cove.client import Signer, trusting  # noqa: PLC0415 - likewise
    from cove.settings import load  # noqa: PLC0415 - likewise

    chosen = submission.parse_asset(did)
    with _errors(as_json=as_json):
        nobody = Signer("1".rjust(64, "0"))  # nothing is signed
        where = publishing.Where(load(settings_file), nobody, local, None, dry_run=False, as_json=as_json)
        reading = publishing.current_document(where.settings, where.provider, chosen.did, local=local)
        document = interruption.run(reading)
        _show_trusted(trusting.is_open(document, chosen.service), *trusting.trusted(document, chosen.service), as_json)


def build() -> typer.Typer:
    """Give the group of commands that publish."""
    app = typer.Typer(help="Publish a dataset or an algorithm from its description.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


def build_trust() -> typer.Typer:
    """Give the group of commands about trusted algorithms."""
    app = typer.Typer(help="Say which algorithms may run on a dataset.", no_args_is_help=True)
    for name, command in TRUST_COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (("dataset", dataset), ("algorithm", algorithm))
TRUST_COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (
    ("add", trust_add),
    ("remove", trust_remove),
    ("list", trust_list),
)


@contextlib.contextmanager
def _errors(*, as_json: bool) -> Iterator[None]:
    with owner_errors(as_json=as_json), market_errors(as_json=as_json):
        yield


def _where(  # noqa: PLR0917 - as they stand on the command line
    local: bool,  # noqa: FBT001
    dry_run: bool,  # noqa: FBT001
    chain: int | None,
    key_file: Path | None,
    password_file: Path | None,
    settings_file: Path | None,
    *,
    as_json: bool,
) -> Where:
    from cove.cli.publishing import Where  # noqa: PLC0415 - the service's parts take long to import
    from cove.settings import load  # noqa: PLC0415 - likewise

    signer = keys.account(key_file, password_file)
    return Where(load(settings_file), signer, local, chain, dry_run=dry_run, as_json=as_json)


def _publish(where: Where, kind: Literal["dataset", "algorithm"], file: Path) -> None:
    from cove.cli.publishing import publish  # noqa: PLC0415 - the service's parts take long to import

    published = interruption.run(publish(where, kind, file))
    if published is None:
        if where.local:
            output.say(f"{file} is in order. Nothing was written.")
    elif where.as_json:
        output.document(published)
    else:
        typer.echo(published["did"])


def _trust(where: Where, did: str, algorithms: Sequence[str], *, add: bool) -> None:
    from cove.cli.publishing import change  # noqa: PLC0415 - the service's parts take long to import
    from cove.client import trusting  # noqa: PLC0415 - likewise

    chosen = submission.parse_asset(did)
    named = [submission.parse_asset(text).did.lower() for text in algorithms]

    async def make(document: dict[str, Any]) -> dict[str, Any] | None:
        if not add and trusting.is_open(document, chosen.service):
            raise typer.BadParameter(
                f"{chosen.did} trusts every published algorithm; cove trust add begins a list of those that it trusts."
            )
        before, _ = trusting.trusted(document, chosen.service)
        kept = [entry for entry in before if str(entry.get("did")).lower() not in named]
        entries = [*kept, *([await trusting.approval(where.provider, one) for one in named] if add else [])]
        if _sorted(entries) == _sorted(before):
            return None
        return trusting.with_trusted(document, entries, chosen.service)

    changed = interruption.run(change(where, chosen.did, make))
    if where.dry_run:
        return
    if where.as_json:
        output.document({"did": chosen.did, "changed": changed is not None})
    else:
        output.say("Nothing was to be changed." if changed is None else "Changed.")


def _sorted(entries: Sequence[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(entry.items()) for entry in entries)


def _show_trusted(
    everybody: bool,  # noqa: FBT001
    entries: Sequence[dict[str, str]],
    publishers: Sequence[str],
    as_json: bool,  # noqa: FBT001
) -> None:
    if as_json:
        output.document({"everyPublished": everybody, "algorithms": list(entries), "publishers": list(publishers)})
        return
    if everybody:
        output.say("It trusts every published algorithm.")
        return
    rows = [
        (one.get("did", ""), one.get("filesChecksum", ""), one.get("containerSectionChecksum", "")) for one in entries
    ]
    output.table(("Algorithm", "Files", "Container"), rows)
    for publisher in publishers:
        output.say(f"It trusts the algorithms of {publisher} alone.")
