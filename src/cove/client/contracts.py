"""Deploys Ocean's contracts to a chain that has none: for a demo, a test, or a private network.

The contracts come from the package ``ocean-contracts`` (extra ``cove[demo]``) as they were published.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.client.wallet import MarketError, Wallet

_DEPLOY_GAS: Final = 12_000_000
_CALL_GAS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OceanAddresses:
    """Where Ocean's contracts are on one chain; all checksummed."""

    chain_id: int
    #: ERC721Factory.
    factory: str
    router: str
    fixed_rate: str
    dispenser: str
    #: Who gets Ocean's share of fees.
    collector: str
    #: An ERC-20 of 18 decimals; the deployer owns all of it.
    fee_token: str


async def deploy_ocean(wallet: Wallet) -> OceanAddresses:
    """Deploy Ocean's contracts, and an ERC-20 token to pay fees in.

    Args:
        wallet: Who will own them; it needs ether.

    Raises:
        MarketError: The chain refused, or the package with the contracts is not installed.
    """
    owner = wallet.address
    token = await deploy_artifact(wallet, "MockOcean", [owner])
    collector = await deploy_artifact(wallet, "OPFCommunityFeeCollector", [owner, owner])
    template = await deploy_artifact(wallet, "ERC20Template", [])
    enterprise = await deploy_artifact(wallet, "ERC20TemplateEnterprise", [])
    nft_template = await deploy_artifact(wallet, "ERC721Template", [])
    router = await deploy_artifact(wallet, "FactoryRouter", [owner, token, token, collector, []])
    fixed_rate = await deploy_artifact(wallet, "FixedRateExchange", [router])
    dispenser = await deploy_artifact(wallet, "Dispenser", [router])
    factory = await deploy_artifact(wallet, "ERC721Factory", [nft_template, template, router])
    for contract, function, address in (
        (factory, "addTokenTemplate(address)", enterprise),
        (router, "addFactory(address)", factory),
        (router, "addFixedRateContract(address)", fixed_rate),
        (router, "addDispenserContract(address)", dispenser),
    ):
        await wallet.transact(contract, function, [address], gas=_CALL_GAS)
    return OceanAddresses(await wallet.chain_id(), factory, router, fixed_rate, dispenser, collector, token)


async def deploy_artifact(wallet: Wallet, name: str, arguments: Sequence[Any]) -> str:
    """Deploy one contract of the package ``ocean-contracts`` and give its checksummed address.

    Args:
        wallet: Who deploys it.
        name: Of the contract (``MockERC20``).
        arguments: Of its constructor.

    Raises:
        MarketError: There is no such contract, or the chain refused.
    """
    artifact = load_artifact(name)
    constructor: list[dict[str, Any]] = next(
        (entry["inputs"] for entry in artifact["abi"] if entry["type"] == "constructor"), []
    )
    types = "(" + ",".join(entry["type"] for entry in constructor) + ")"
    bytecode = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
    return await wallet.deploy(bytecode, types, arguments, gas=_DEPLOY_GAS)


def load_artifact(name: str) -> dict[str, Any]:
    """Give a contract's compiled artifact: ``abi`` and ``bytecode``.

    Raises:
        MarketError: The package is not installed or has no such contract.
    """
    try:
        content = (importlib.resources.files("artifacts") / f"{name}.json").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise MarketError(f"The contract {name} is not here; install it with: pip install 'cove[demo]'") from None
    artifact: dict[str, Any] = json.loads(content)
    return artifact
