"""The owner's commands about grants; they work beside a running service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cove.cli import interruption, keys, output, submission
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.access.grants import GrantDesk, Wish
    from cove.client import Signer
    from cove.core.grant import GrantRecord, SignedGrant

_DAY: Final = 86_400


def create(  # noqa: PLR0917 - typer reads options from parameters
    asset: Annotated[str, typer.Argument(metavar="DID[:SERVICE]", help="Of a dataset or an algorithm.")],
    consumer: Annotated[str, typer.Option("--consumer", metavar="ADDRESS", help="The one account that may use it.")],
    runs: Annotated[int, typer.Option("--runs", min=1, max=1_000_000, help="How many runs it pays for.")] = 1,
    days: Annotated[float, typer.Option("--days", min=0, max=36_500, help="How long it holds.")] = 30.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there for the consumer's cove submit.")
    ] = None,
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Sign a grant with the owner's key, keep it, and print its id, which is the consumer's order."""
    from cove.access.grants import Wish  # noqa: PLC0415 - the service's parts take long to import

    chosen = submission.parse_asset(asset)
    with owner_errors(as_json=as_json):
        if out is not None and out.exists():
            raise typer.BadParameter(f"{out} is there already.")
        signer = keys.account(key_file, password_file)
        wish = Wish(consumer, chosen.did, chosen.service, int(time.time() + days * _DAY), runs)
        record, signed = _at_desk(settings_file, lambda desk: _create(desk, wish, signer))
        if out is not None:
            _write(out, signed)
    if as_json:
        output.document(_fields(record))
    else:
        typer.echo(record.id)


def revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Its id.")],
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Take a grant back, for ever; jobs that are under way go on (cove stop and delete end them)."""
    with owner_errors(as_json=as_json):
        now = _at_desk(settings_file, lambda desk: desk.revoke(grant))
    if as_json:
        output.document({"grant": grant, "revoked": True, "before": not now})
    else:
        output.say("Taken back." if now else "It was taken back before.")


def show(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the grants, the newest first."""
    with owner_errors(as_json=as_json):
        found: Sequence[GrantRecord] = _at_desk(settings_file, lambda desk: desk.list())
    if as_json:
        output.document([_fields(one) for one in found])
        return
    rows = [
        (
            one.id,
            one.grant.consumer,
            f"{one.grant.asset}:{one.grant.service}",
            f"{one.used} of {one.grant.runs}",
            output.moment(str(one.grant.valid_until)),
            _state(one),
        )
        for one in found
    ]
    output.table(("Grant", "Consumer", "Asset", "Runs", "Valid until", "State"), rows)


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="Sign, list and take back grants: orders without a chain.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (("create", create), ("revoke", revoke), ("list", show))


def _at_desk(settings_file: Path | None, act: Callable[[GrantDesk], Any]) -> Any:  # noqa: ANN401 - handed on
    from cove.settings import load  # noqa: PLC0415 - the service's parts take long to import
    from cove.wiring.grants import open_grants  # noqa: PLC0415 - likewise

    async def work() -> Any:  # noqa: ANN401 - handed on
        async with open_grants(load(settings_file)) as desk:
            return await act(desk)

    return interruption.run(work())


async def _create(desk: GrantDesk, wish: Wish, signer: Signer) -> tuple[GrantRecord, SignedGrant]:
    return await desk.create(wish, signer)


def _write(path: Path, signed: SignedGrant) -> None:
    """Write the consumer's file: it is worth nothing to others, but says who may do what."""
    from cove.core import grant  # noqa: PLC0415 - light, and used here alone
    from cove.crypto.keys import keccak  # noqa: PLC0415 - likewise

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(grant.write(signed, keccak))


def _fields(one: GrantRecord) -> dict[str, object]:
    return {
        "grant": one.id,
        "consumer": one.grant.consumer,
        "asset": one.grant.asset,
        "service": one.grant.service,
        "validUntil": one.grant.valid_until,
        "runs": one.grant.runs,
        "used": one.used,
        "createdAt": int(one.created_at),
        "state": _state(one),
    }


def _state(one: GrantRecord) -> str:
    if one.revoked_at is not None:
        return "taken back"
    if one.grant.valid_until < time.time():
        return "expired"
    return "used up" if one.used >= one.grant.runs else "good"
