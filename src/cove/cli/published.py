"""The owner's commands about results that are kept for assets; they work beside a running service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cove.cli import output
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.results.published import KeptAsset, PublishedAssets
    from cove.settings import Settings


def list_assets(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the assets whose results are kept here."""
    with owner_errors(as_json=as_json):
        settings, kept = _open(settings_file)
        found = [(kept.look(nft), _dids(settings, nft)) for nft in kept.nfts()]
    if as_json:
        output.document([_fields(one, dids) for one, dids in found])
        return
    rows = [
        (dids[0] if len(dids) == 1 else one.nft, f"{one.files}", output.size(one.size), _ended(one))
        for one, dids in found
    ]
    output.table(("Asset", "Files", "Size", "Ended"), rows)


def remove(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="DID, or the NFT's address, as the list has it.")],
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Remove the results that are kept for an asset: nobody can fetch them any more."""
    from cove.core.errors import NotFound  # noqa: PLC0415 - light, and used here alone

    with owner_errors(as_json=as_json):
        settings, kept = _open(settings_file)
        wanted = asset.lower()
        nft = next((one for one in kept.nfts() if wanted in {one, *_dids(settings, one)}), None)
        if nft is None:
            raise NotFound(
                f"Nothing is kept here for {asset}.", hint="cove published list names what there is; check state_dir."
            )
        gone = kept.look(nft)
        kept.remove(nft)
    if as_json:
        output.document({"nft": nft, "files": gone.files, "size": gone.size})
    else:
        output.say(f"Removed {gone.files} files, {output.size(gone.size)}. The asset on the chain is its owner's.")


def build() -> typer.Typer:
    """Give the group of these commands."""
    app = typer.Typer(help="Look at, and remove, results that are kept for published assets.", no_args_is_help=True)
    app.command("list")(list_assets)
    app.command("remove")(remove)
    return app


def _open(settings_file: Path | None) -> tuple[Settings, PublishedAssets]:
    from cove.results.published import PublishedAssets  # noqa: PLC0415 - the service's parts take long to import
    from cove.settings import load  # noqa: PLC0415 - likewise
    from cove.wiring.publishing import PUBLISHED  # noqa: PLC0415 - likewise

    settings = load(settings_file)
    return settings, PublishedAssets(settings.state_dir.absolute() / PUBLISHED)


def _dids(settings: Settings, nft: str) -> Sequence[str]:
    """Give the DIDs that an NFT has on the chains of the settings."""
    from cove.core.ddo import did_of  # noqa: PLC0415 - the service's parts take long to import
    from cove.crypto.keys import checksum  # noqa: PLC0415 - likewise

    wanted = settings.publishing.chain
    return [did_of(checksum(nft), chain.id) for chain in settings.chains if wanted in {None, chain.id}]


def _fields(one: KeptAsset, dids: Sequence[str]) -> dict[str, Any]:
    return {"nft": one.nft, "dids": list(dids), "files": one.files, "size": one.size, "endedAt": one.ended_at}


def _ended(one: KeptAsset) -> str:
    return "" if one.ended_at is None else output.moment(str(one.ended_at))
