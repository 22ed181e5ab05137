"""Datatokens and orders: what a consumer does on chain before a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cove.client.wallet import MarketError, Sent, Wallet

ONE_DATATOKEN: Final = 10**18
"""What an order costs, in base units of the datatoken."""
NO_ADDRESS: Final = "0x" + "0" * 40

_FEE_TYPE: Final = "(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes)"

_START: Final = f"startOrder(address,uint256,{_FEE_TYPE},(address,address,uint256))"
_REUSE: Final = f"reuseOrder(bytes32,{_FEE_TYPE})"


async def mint(wallet: Wallet, token: str, to: str, amount: int = ONE_DATATOKEN) -> Sent:
    """Make datatokens; the wallet must be one of their minters.

    Args:
        wallet: A minter.
        token: The datatoken.
        to: Who gets them.
        amount: Base units.
    """
    return await wallet.transact(token, "mint(address,uint256)", [to, amount])


async def transfer(wallet: Wallet, token: str, to: str, amount: int) -> Sent:
    """Hand ERC-20 tokens over (base units)."""
    return await wallet.transact(token, "transfer(address,uint256)", [to, amount])


async def approve(wallet: Wallet, token: str, spender: str, amount: int) -> Sent:
    """Let a contract take ERC-20 tokens of the wallet (base units)."""
    return await wallet.transact(token, "approve(address,uint256)", [spender, amount])


async def token_balance(wallet: Wallet, token: str, owner: str | None = None) -> int:
    """Give how much of an ERC-20 an account owns, in base units; the wallet's own by default."""
    (amount,) = await wallet.call(token, "balanceOf(address)", [owner or wallet.address], "(uint256)")
    return int(amount)


async def order(
    wallet: Wallet,
    datatoken: str,
    fee: Mapping[str, Any],
    *,
    service_index: int = 0,
    consumer: str | None = None,
) -> str:
    """Order a service (``startOrder``) and give the transaction's id.

    The wallet pays one datatoken, and the provider's fee. A minter of the datatoken gets one made for it.

    Args:
        wallet: Who pays.
        datatoken: What the service is sold for.
        fee: ``providerFee`` as the provider's initialize calls give it.
        service_index: Position of the service in the DDO.
        consumer: Who may use the order beside the wallet (an environment's ``consumerAddress``); the wallet by default.

    Raises:
        MarketError: Something to pay with is missing, or the contract refused.
    """
    signed = fee_of(fee)
    if await token_balance(wallet, datatoken) < ONE_DATATOKEN:
        await _mint_own(wallet, datatoken)
    await _prepare_fee(wallet, datatoken, str(signed[1]), int(signed[2]))
    sent = await wallet.transact(*start_call(datatoken, consumer or wallet.address, service_index, signed))
    return sent.tx_id


async def reuse_order(wallet: Wallet, datatoken: str, order_tx: str, fee: Mapping[str, Any]) -> str:
    """Pay a new provider fee for an order (``reuseOrder``) and give the transaction's id.

    Args:
        wallet: Who pays.
        datatoken: Of the order.
        order_tx: The order's transaction.
        fee: ``providerFee`` as the provider's initialize calls give it.

    Raises:
        MarketError: Something to pay with is missing, or the contract refused.
    """
    signed = fee_of(fee)
    await _prepare_fee(wallet, datatoken, str(signed[1]), int(signed[2]))
    sent = await wallet.transact(*reuse_call(datatoken, order_tx, signed))
    return sent.tx_id


async def _mint_own(wallet: Wallet, datatoken: str) -> None:
    (minter,) = await wallet.call(datatoken, "isMinter(address)", [wallet.address], "(bool)")
    if not minter:
        raise MarketError(f"The account owns less than one datatoken {datatoken}: buy one first.")
    await mint(wallet, datatoken, wallet.address)


async def _prepare_fee(wallet: Wallet, datatoken: str, token: str, amount: int) -> None:
    """See to it that the datatoken's contract can take the provider's fee."""
    if amount == 0 or token == NO_ADDRESS:
        return
    owned = await token_balance(wallet, token)
    if owned < amount:
        raise MarketError(f"The account owns {owned} of the fee token {token}, and the provider's fee is {amount}.")
    (allowed,) = await wallet.call(token, "allowance(address,address)", [wallet.address, datatoken], "(uint256)")
    if allowed < amount:
        await approve(wallet, token, datatoken, amount)


def start_call(datatoken: str, consumer: str, service_index: int, fee: tuple[Any, ...]) -> tuple[str, str, list[Any]]:
    """Give ``startOrder`` of a datatoken with its arguments.

    Args:
        datatoken: What the service is sold for.
        consumer: Who may use the order beside who pays.
        service_index: Position of the service in the DDO.
        fee: As :func:`fee_of` gives it.
    """
    market = (NO_ADDRESS, NO_ADDRESS, 0)
    return datatoken, _START, [consumer, service_index, fee, market]


def reuse_call(datatoken: str, order_tx: str, fee: tuple[Any, ...]) -> tuple[str, str, list[Any]]:
    """Give ``reuseOrder`` of a datatoken with its arguments."""
    return datatoken, _REUSE, [bytes.fromhex(order_tx.removeprefix("0x")), fee]


def fee_of(fee: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give a provider fee as the contracts take it.

    Args:
        fee: ``providerFee`` as the provider's initialize calls give it.

    Raises:
        MarketError: It is none.
    """
    try:
        return (
            fee["providerFeeAddress"],
            fee["providerFeeToken"],
            int(fee["providerFeeAmount"]),
            int(fee["v"]),
            bytes.fromhex(fee["r"].removeprefix("0x")),
            bytes.fromhex(fee["s"].removeprefix("0x")),
            int(fee["validUntil"]),
            bytes.fromhex(fee["providerData"].removeprefix("0x")),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise MarketError("This is no provider fee as initialize and initializeCompute give it.") from None
