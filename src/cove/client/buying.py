"""Orders services on chain so that a command that is killed anywhere can be run again, and pays once.

What one order takes: a datatoken (owned already, minted, given by a dispenser, or bought at a fixed rate), the right
for the datatoken's contract to take the provider's fee, and the order itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cove.client.journal import Call, Journal, done, once
from cove.client.ordering import (
    NO_ADDRESS,
    ONE_DATATOKEN,
    fee_of,
    reuse_call,
    start_call,
    token_balance,
)
from cove.client.signing import checksum_address
from cove.client.wallet import MarketError, Wallet

_APPROVE: Final = "approve(address,uint256)"
_BUY: Final = "buyDT(bytes32,uint256,uint256,address,uint256)"
_DISPENSE: Final = "dispense(address,uint256,address)"
_MINT: Final = "mint(address,uint256)"
_ADD_MINTER: Final = "addMinter(address)"
_APPROVE_GAS: Final = 47_000
_MINTER_GAS: Final = 60_000
_TAKE_GAS: Final = 105_000
_ORDER_GAS: Final = 165_000


@dataclass(frozen=True, slots=True)
class Item:
    """A service that is to be ordered."""

    #: Short and stable: names its steps in the journal.
    name: str
    datatoken: str
    service_index: int
    #: ``providerFee`` of initializeCompute.
    fee: Mapping[str, Any]
    #: Who may use the order beside the wallet; empty: the wallet alone.
    consumer: str = ""
    #: An order that is good but for its fee: it is paid again for instead of ordering anew.
    reuse: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an order takes now."""

    calls: tuple[tuple[str, Call], ...]
    #: ERC-20 and base units that leave the account, in words for people.
    paid: tuple[tuple[str, int], ...]


async def plan(wallet: Wallet, item: Item) -> Plan:
    """Say what an order takes, from what the chain has now.

    Raises:
        MarketError: It cannot be had: nothing sells the datatoken, or the account owns too little.
    """
    calls: list[tuple[str, Call]] = []
    paid: dict[str, int] = {}
    if not item.reuse and await token_balance(wallet, item.datatoken) < ONE_DATATOKEN:
        calls += await _acquiring(wallet, item, paid)
    signed = fee_of(item.fee)
    token, amount = _checked(str(signed[1])), int(signed[2])
    if amount and token != NO_ADDRESS:
        paid[token] = paid.get(token, 0) + amount
        calls += await _allowing(wallet, item, token, item.datatoken, amount)
    for what, needed in paid.items():
        owned = await token_balance(wallet, what)
        if owned < needed:
            raise MarketError(f"The account owns {owned} base units of the token {what}, and {needed} are needed.")
    if item.reuse:
        call = reuse_call(item.datatoken, item.reuse, signed)
    else:
        call = start_call(item.datatoken, item.consumer or wallet.address, item.service_index, signed)
    title = "pay the provider's fee for the order" if item.reuse else "order the service"
    calls.append((_order_step(item.name), Call(title, *call, _ORDER_GAS)))
    return Plan(tuple(calls), tuple(paid.items()))


async def ordered(wallet: Wallet, journal: Journal, name: str, *, send: bool = True) -> str | None:
    """Give the order that an earlier run placed; None where there is none. ``send`` is as :func:`done` has it."""
    sent = await done(wallet, journal, _order_step(name), send=send)
    return None if sent is None else sent.tx_id


async def order_once(wallet: Wallet, journal: Journal, item: Item) -> str:
    """Order a service, or go on where an earlier run of this was ended, and give the transaction.

    Raises:
        MarketError: Something to pay with is missing, or a contract refused.
    """
    before = await ordered(wallet, journal, item.name)
    if before is not None:
        return before
    bought = await done(wallet, journal, f"{item.name} token")
    if bought is not None and not item.reuse and await token_balance(wallet, item.datatoken) < ONE_DATATOKEN:
        raise MarketError(
            f"The datatoken that {bought.tx_id} brought is not in the account any more; "
            f"remove {journal.path} to get another one."
        )
    last = ""
    for step, call in (await plan(wallet, item)).calls:
        last = (await once(wallet, journal, step, call)).tx_id
    return last


def _order_step(name: str) -> str:
    return f"{name} order"


async def _allowing(wallet: Wallet, item: Item, token: str, spender: str, amount: int) -> list[tuple[str, Call]]:
    asked = [wallet.address, spender]
    (allowed,) = await wallet.call(token, "allowance(address,address)", asked, "(uint256)")
    if allowed >= amount:
        return []
    call = Call(f"let {spender} take {amount} of {token}", token, _APPROVE, [spender, amount], _APPROVE_GAS)
    return [(f"{item.name} approve {spender} {amount}", call)]


async def _acquiring(wallet: Wallet, item: Item, paid: dict[str, int]) -> list[tuple[str, Call]]:
    """Give what brings one datatoken, the cheapest way first."""
    token, step = item.datatoken, f"{item.name} token"
    making = Call("make a datatoken", token, _MINT, [wallet.address, ONE_DATATOKEN], _TAKE_GAS)
    (minter,) = await wallet.call(token, "isMinter(address)", [wallet.address], "(bool)")
    if minter:
        return [(step, making)]
    if await _may_make(wallet, token):
        right = Call("let the account make datatokens", token, _ADD_MINTER, [wallet.address], _MINTER_GAS)
        return [(f"{item.name} minter", right), (step, making)]
    (dispensers,) = await wallet.call(token, "getDispensers()", [], "(address[])")
    for dispenser in dispensers:
        if await _gives(wallet, dispenser, token):
            call = Call(
                "take a datatoken for nothing", dispenser, _DISPENSE, [token, ONE_DATATOKEN, wallet.address], _TAKE_GAS
            )
            return [(step, call)]
    (rates,) = await wallet.call(token, "getFixedRates()", [], "((address,bytes32)[])")
    for exchange, number in rates:
        base, amount, active = await _rate(wallet, exchange, number)
        if active:
            paid[base] = paid.get(base, 0) + amount
            allow = await _allowing(wallet, item, base, exchange, amount)
            title = f"buy a datatoken for {amount} base units of {base}"
            call = Call(title, exchange, _BUY, [number, ONE_DATATOKEN, amount, NO_ADDRESS, 0], _TAKE_GAS + 100_000)
            return [*allow, (step, call)]
    raise MarketError(f"The account owns less than one datatoken {token}, and nothing on this chain sells it.")


async def _may_make(wallet: Wallet, token: str) -> bool:
    """Say whether the datatoken's NFT gives the account the right to let itself make datatokens."""
    (nft,) = await wallet.call(token, "getERC721Address()", [], "(address)")
    (rights,) = await wallet.call(nft, "getPermissions(address)", [wallet.address], "((bool,bool,bool,bool))")
    return bool(rights[1])


async def _gives(wallet: Wallet, dispenser: str, token: str) -> bool:
    returns = "(bool,address,bool,uint256,uint256,uint256,address)"
    active, _, mints, most, _, left, swapper = await wallet.call(dispenser, "status(address)", [token], returns)
    open_to_all = swapper in {NO_ADDRESS, wallet.address.lower()}
    return bool(active and open_to_all and most >= ONE_DATATOKEN and (mints or left >= ONE_DATATOKEN))


async def _rate(wallet: Wallet, exchange: str, number: bytes) -> tuple[str, int, bool]:
    """Give the token, the price of one datatoken in its base units, and whether the exchange sells."""
    returns = "(address,address,uint256,address,uint256,uint256,bool,uint256,uint256,uint256,uint256,bool)"
    facts = await wallet.call(exchange, "getExchange(bytes32)", [number], returns)
    price = await wallet.call(
        exchange,
        "calcBaseInGivenOutDT(bytes32,uint256,uint256)",
        [number, ONE_DATATOKEN, 0],
        "(uint256,uint256,uint256,uint256)",
    )
    return _checked(facts[3]), int(price[0]), bool(facts[6])


def _checked(address: str) -> str:
    return checksum_address(bytes.fromhex(address.removeprefix("0x")))
