"""Ocean's Escrow contract, as it is published in npm; PyPI's package has none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from cove.client.market import OceanAddresses, Wallet

ARTIFACT: Final = (
    Path(__file__).parents[1] / "compat/node_modules/ocean-contracts-2.6.0/artifacts/contracts/escrow"
    "/Escrow.sol/Escrow.json"
)
_GAS: Final = 12_000_000


@dataclass(frozen=True)
class Funds:
    """What an account has in the contract, in base units."""

    available: int
    locked: int


@dataclass(frozen=True)
class Escrowed:
    """The contract on a chain, and one token."""

    address: str
    token: str

    async def deposit(self, wallet: Wallet, amount: int) -> None:
        await wallet.transact(self.token, "approve(address,uint256)", [self.address, amount])
        await wallet.transact(self.address, "deposit(address,uint256)", [self.token, amount])

    async def authorize(self, wallet: Wallet, payee: str, most: int, seconds: int, locks: int = 10) -> None:
        function = "authorize(address,address,uint256,uint256,uint256)"
        await wallet.transact(self.address, function, [self.token, payee, most, seconds, locks])

    async def funds(self, wallet: Wallet) -> Funds:
        asked = [wallet.address, self.token]
        ((available, locked),) = await wallet.call(
            self.address, "getUserFunds(address,address)", asked, "((uint256,uint256))"
        )
        return Funds(available, locked)

    async def tokens(self, wallet: Wallet, owner: str) -> int:
        (balance,) = await wallet.call(self.token, "balanceOf(address)", [owner], "(uint256)")
        return int(balance)


async def deploy_escrow(wallet: Wallet, addresses: OceanAddresses) -> Escrowed:
    """Deploy the contract, or skip the test where npm's package is not there."""
    if not ARTIFACT.is_file():
        pytest.skip("Ocean's Escrow is not there: run tests/compat/install.sh (it needs npm)")
    artifact: dict[str, Any] = json.loads(ARTIFACT.read_text())
    code = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
    address = await wallet.deploy(code, "(address,address)", [addresses.router, addresses.collector], gas=_GAS)
    return Escrowed(address, addresses.fee_token)
