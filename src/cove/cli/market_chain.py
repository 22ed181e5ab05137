"""The chain that commands publish and order on, and the journals of what they did there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cove.cli import output

if TYPE_CHECKING:
    from cove.client import Signer
    from cove.client.journal import Call
    from cove.client.wallet import Wallet
    from cove.settings import ChainSettings, Settings

_COIN: Final = 10**18

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show each transaction and what it costs, and send nothing.")]
ChainId = Annotated[
    int | None,
    typer.Option("--chain", metavar="ID", help="Which chain of the settings; needed where there are several."),
]


def chain_of(settings: Settings, wanted: int | None) -> ChainSettings:
    """Choose a chain of the settings.

    Raises:
        SettingsWrong: There is none, none of this id, or several and none was chosen.
    """
    from cove.core.errors import SettingsWrong  # noqa: PLC0415 - light, and used here alone

    known = ", ".join(str(chain.id) for chain in settings.chains) or "none"
    if wanted is None and len(settings.chains) == 1:
        return settings.chains[0]
    for chain in settings.chains:
        if chain.id == wanted:
            return chain
    what = "No chain was chosen" if wanted is None else f"Chain {wanted} is not in the settings"
    hint = (
        "Choose one with --chain ID." if settings.chains else "Add [[chains]] with id, rpc and factory, or use --local."
    )
    raise SettingsWrong(f"{what} (there: {known}).", hint=hint)


@contextlib.asynccontextmanager
async def wallet_on(chain: ChainSettings, signer: Signer) -> AsyncIterator[Wallet]:
    """Open the account on a chain of the settings."""
    async with wallet_at(chain.rpcs[0].get_secret_value(), chain.id, signer) as wallet:
        yield wallet


@contextlib.asynccontextmanager
async def wallet_at(rpc: str, chain_id: int, signer: Signer) -> AsyncIterator[Wallet]:
    """Open the account on the chain behind an RPC URL, which may hold an access key and is never shown.

    Raises:
        MarketError: Another chain answers there.
        Unavailable: None does.
    """
    from cove.cli.node import Node  # noqa: PLC0415 - slow to import
    from cove.client.wallet import MarketError, Wallet  # noqa: PLC0415 - likewise

    async with Node(rpc, chain_id) as node:
        wallet = Wallet("0x" + signer.private_key().hex(), node)
        found = await wallet.chain_id()
        if found != chain_id:
            raise MarketError(f"The node serves chain {found}, and chain {chain_id} is wanted.")
        yield wallet


@contextlib.contextmanager
def market_errors(*, as_json: bool) -> Iterator[None]:
    """Have what a chain refuses end in a sentence and exit code 1."""
    from cove.client.wallet import MarketError  # noqa: PLC0415 - slow to import

    try:
        yield
    except MarketError as problem:
        hint = "Run the same command again to go on: nothing is done twice."
        output.failure(str(problem), code="market", hint=hint, as_json=as_json)
        raise typer.Exit(output.FAILED) from None


def journal_folder() -> Path:
    """Give where journals are that stand beside no description."""
    named = os.environ.get("COVE_JOURNALS", "")
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "cove" / "journals"


def journal_file(*parts: object) -> Path:
    """Give the journal of a command that is told apart by these parts."""
    name = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]
    return journal_folder() / f"{parts[0]}-{name}.json"


async def show_cost(wallet: Wallet, calls: Sequence[Call], paid: Sequence[tuple[str, int]], *, as_json: bool) -> None:
    """Print each transaction, and what all of them cost."""
    from cove.client.publishing import cost  # noqa: PLC0415 - slow to import

    price = await wallet.gas_price()
    rows = await cost(wallet, list(calls))
    gas = sum(amount for _, amount, _ in rows)
    tokens = [{"token": token, "amount": str(amount)} for token, amount in paid]
    if as_json:
        output.document({
            "account": wallet.address,
            "transactions": [
                {"does": call.title, "to": call.to, "function": call.function, "gas": amount, "estimated": exact}
                for call, amount, exact in rows
            ],
            "gas": gas,
            "gasPrice": str(price),
            "cost": str(gas * price),
            "pays": tokens,
        })  # fmt: skip
        return
    output.table(
        ("Transaction", "To", "Gas"),
        [(call.title, call.to, f"{amount}" if exact else f"about {amount}") for call, amount, exact in rows],
    )
    output.say(f"Gas for about {gas * price / _COIN:.6g} of the chain's coin, from {wallet.address}.")
    for entry in tokens:
        output.say(f"Pays {entry['amount']} base units of the token {entry['token']}.")
    output.say("Nothing was sent.")
