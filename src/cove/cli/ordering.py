"""What ``cove order`` and ``cove submit --place-orders`` do: quote, order on chain, and know what was done before."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer

from cove import wire
from cove.cli import output
from cove.cli.market_chain import journal_file, show_cost, wallet_at
from cove.cli.submission import NO_CHECKSUM, AssetChoice, environment_of, service_of
from cove.client import CoveClient, Environment, KeyMissing, Signer
from cove.client.buying import Item, order_once, ordered, plan
from cove.client.journal import Call, Journal, alone
from cove.client.wallet import MarketError, Wallet

_TX_SHOWN: Final = 18


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be ordered."""

    datasets: tuple[AssetChoice, ...]
    #: None for raw code.
    algorithm: AssetChoice | None
    #: The container of raw code; None where it is not known yet which that will be.
    container: dict[str, str] | None
    #: None takes the first that is offered.
    environment: str | None
    #: Seconds of the environment that are paid for; None: as long as a run may take there.
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """Orders that are placed."""

    #: One for each dataset.
    orders: tuple[str, ...]
    #: None without a published algorithm.
    algorithm_order: str | None
    #: Forgets that they were placed, once whoever wanted them has them.
    journal: Journal


@dataclass(frozen=True, slots=True)
class _Before:
    """What earlier runs placed for a service, and did not tell of."""

    #: None where there is nothing yet.
    order: str | None
    #: The order's newest reuse, or the order itself.
    newest: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A service among those wanted."""

    name: str
    did: str
    service: str
    index: int


async def place(
    client: CoveClient, signer: Signer | None, rpc: str, wanted: Wanted, *, dry_run: bool, as_json: bool
) -> Placed | None:
    """Place the orders that a job needs, or go on where an earlier run was ended; None after a dry run.

    Raises:
        KeyMissing: There is no account.
        ClientError: The service refused.
        MarketError: The chain refused, or something to pay with is missing.
        Unavailable: The chain does not answer.
    """
    if signer is None:
        raise KeyMissing("There is no key to pay with.")
    environment = environment_of(client, wanted.environment)
    places, chain_id = _places(client, wanted)
    async with _ready(client, signer, rpc, chain_id, places) as (wallet, journal):
        before = [await _before(wallet, journal, one, send=not dry_run) for one in places]
        quotes = _quotes(client, environment, wanted, places, before)
        items = [_item(environment, *each) for each in zip(places, quotes, before, strict=True)]
        if dry_run:
            await _show(wallet, items, as_json=as_json)
            return None
        found = [await _order(wallet, journal, *each) for each in zip(places, quotes, items, strict=True)]
    count = len(wanted.datasets)
    return Placed(tuple(found[:count]), found[count] if len(found) > count else None, journal)


async def _before(wallet: Wallet, journal: Journal, one: _Place, *, send: bool) -> _Before:
    """Give what earlier runs placed for a service, and tell the user of it."""
    first = await ordered(wallet, journal, one.name, send=send)
    if first is None:
        return _Before(None, None)
    newest = first
    while (again := await ordered(wallet, journal, _again(one, newest), send=send)) is not None:
        newest = again
    output.say(f"An earlier run placed the order {newest} ({one.name}): it is used, and not paid for again.")
    return _Before(first, newest)


def _again(one: _Place, order: str) -> str:
    return f"{one.name} again {order[:_TX_SHOWN]}"


@contextlib.asynccontextmanager
async def _ready(
    client: CoveClient, signer: Signer, rpc: str, chain_id: int, places: Sequence[_Place]
) -> AsyncIterator[tuple[Wallet, Journal]]:
    # Neither the URL, which has several spellings, nor the environment, which may be another one by default tomorrow:
    # what was ordered would not be found again, and be paid for twice.
    path = journal_file("order", client.root().providerAddress.lower(), signer.address, chain_id, *places)
    with alone(path.parent):
        journal = Journal(path, {"account": signer.address, "chain": chain_id})
        async with wallet_at(rpc, chain_id, signer) as wallet:
            yield wallet, journal


def _places(client: CoveClient, wanted: Wanted) -> tuple[list[_Place], int]:
    """Give each service with its position in the DDO, and the chain that all are on."""
    chosen = [(f"dataset {number}", choice, number == 0) for number, choice in enumerate(wanted.datasets)]
    if wanted.algorithm is not None:
        chosen.append(("algorithm", wanted.algorithm, False))
    places, chains = [], set()
    for name, choice, compute in chosen:
        found = service_of(client, choice, compute=compute)
        document = client.document(choice.did)
        chains.add(int(document["chainId"]))
        ids = [str(service.get("id")) for service in document["services"]]
        if found.service not in ids:
            raise typer.BadParameter(f"{choice.did} has no service {found.service!r}; it has: {', '.join(ids)}.")
        places.append(_Place(name, choice.did, str(found.service), ids.index(str(found.service))))
    if len(chains) != 1:
        raise typer.BadParameter("The assets are on several chains; order them one by one.")
    return places, chains.pop()


def _quotes(
    client: CoveClient, environment: Environment, wanted: Wanted, places: list[_Place], before: list[_Before]
) -> list[wire.InitializedItem]:
    seconds = wanted.seconds or environment.maxJobDuration
    asked: list[dict[str, Any]] = [
        {"documentId": one.did, "serviceId": one.service, "transferTxId": placed.newest}
        for one, placed in zip(places, before, strict=True)
    ]
    algorithm = asked.pop() if wanted.algorithm is not None else {"meta": _raw(environment, wanted)}
    request = {
        "datasets": asked,
        "algorithm": algorithm,
        "compute": {"env": environment.id, "validUntil": int(time.time()) + seconds},
    }
    answer = client.initialize_compute(wire.InitializeCompute.model_validate(request))
    return [*answer.datasets, *([answer.algorithm] if answer.algorithm is not None else [])]


def _raw(environment: Environment, wanted: Wanted) -> dict[str, object]:
    """Give what stands for raw code in a question: what it costs does not depend on the code."""
    image = environment.images[0] if environment.images else "cove/host"
    usual = {"image": image, "entrypoint": "python3 $ALGO", "checksum": NO_CHECKSUM}
    return {"rawcode": "pass", "container": wanted.container or usual}


def _item(environment: Environment, one: _Place, quote: wire.InitializedItem, before: _Before) -> Item | None:
    """Give what is to be ordered; None where the order that there is pays for everything."""
    fee = quote.providerFee
    if fee is None:
        return None
    again = quote.validOrder or ""
    # At another provider it is the environment's account that fetches, so the order must name it.
    elsewhere = fee.providerFeeAddress.lower() != environment.consumerAddress.lower()
    return Item(
        name=_again(one, again) if again else one.name,
        datatoken=quote.datatoken or "",
        service_index=one.index,
        fee=fee.model_dump(),
        consumer=environment.consumerAddress if elsewhere else "",
        # Of the order, always: a provider does not follow a reuse of a reuse.
        reuse=(before.order or again) if again else "",
    )


async def _order(wallet: Wallet, journal: Journal, one: _Place, quote: wire.InitializedItem, item: Item | None) -> str:
    if item is not None:
        return await order_once(wallet, journal, item)
    if quote.validOrder is None:
        raise MarketError(f"The provider's quote for {one.did} holds neither a fee nor an order.")
    return quote.validOrder


async def _show(wallet: Wallet, items: Sequence[Item | None], *, as_json: bool) -> None:
    calls: list[Call] = []
    paid: list[tuple[str, int]] = []
    for item in items:
        if item is not None:
            planned = await plan(wallet, item)
            calls += [call for _, call in planned.calls]
            paid += planned.paid
    await show_cost(wallet, calls, paid, as_json=as_json)
