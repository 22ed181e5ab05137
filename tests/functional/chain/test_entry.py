"""An environment for listed accounts, and for holders of tokens, over real chains and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.two_chains import ONE, TWO, Pair, serving

from cove.client.contracts import deploy_artifact
from cove.core.errors import SettingsWrong

REFUSED = {"environment": "consumer_not_allowed"}
NOBODYS = "0x" + "5" * 40


def held(chain: int, contract: str, **more: str) -> dict[str, Any]:
    return {"access": {"tokens": ({"chain": chain, "contract": contract, **more},)}}


async def test_a_list_of_accounts(pair: Pair, tmp_path: Path) -> None:
    consumer = pair.chains[ONE].consumer.address
    async with serving(pair, tmp_path, access={"addresses": (NOBODYS, consumer.lower())}) as world:
        asset = await world.publish(ONE)
        assert (await world.start(asset, await world.pay(ONE, asset))).status_code == 200
        (listed, *_) = (await world.http.get("/api/services/computeEnvironments")).json()[str(ONE)]
        assert listed["access"] == {"addresses": [NOBODYS, consumer], "accessLists": None}
    async with serving(pair, tmp_path, access={"addresses": (NOBODYS,)}) as world:
        asset = await world.publish(ONE)
        for answer in (await world.quote(asset), await world.start(asset, "0x" + "9" * 64)):
            assert (answer.status_code, answer.json()["error"]) == (400, REFUSED)
            assert "default" in answer.json()["hint"]


async def test_the_holder_of_an_nft_on_another_chain_is_let_in(pair: Pair, tmp_path: Path) -> None:
    ocean = pair.chains[TWO]
    async with serving(pair, tmp_path) as world:
        ticket = (await world.publish(TWO)).nft
    async with serving(pair, tmp_path, **held(TWO, ticket)) as world:
        asset = await world.publish(ONE)
        refused = await world.quote(asset)
        assert (refused.status_code, refused.json()["error"]) == (400, REFUSED)
        await ocean.publisher.transact(
            ticket, "safeTransferFrom(address,address,uint256)", [ocean.publisher.address, ocean.consumer.address, 1]
        )
        assert (await world.start(asset, await world.pay(ONE, asset))).status_code == 200
        (listed, *_) = (await world.http.get("/api/services/computeEnvironments")).json()[str(TWO)]
        assert listed["access"] == {"addresses": [], "accessLists": [{str(TWO): [ticket]}]}
        world.lines[TWO].cut = True
        down = await world.quote(asset)
        assert (down.status_code, down.json()["context"]) == (503, f"chain {TWO}")
        assert (await world.http.get("/api/services/computeEnvironments")).status_code == 200


async def test_the_holder_of_a_fungible_token_is_let_in(pair: Pair, tmp_path: Path) -> None:
    async with serving(pair, tmp_path, **held(TWO, pair.tokens[TWO])) as world:
        assert (await world.quote(await world.publish(ONE))).status_code == 200
    unheld = await deploy_artifact(pair.chains[ONE].stranger, "MockERC20Decimals", ["Other", "OTH", 6])
    for contract, more in ((unheld, {}), (NOBODYS, {}), (unheld, {"id": "7"})):
        async with serving(pair, tmp_path, **held(ONE, contract, **more)) as world:
            refused = await world.quote(await world.publish(ONE))
            assert (refused.status_code, refused.json()["error"]) == (400, REFUSED)


async def test_who_is_listed_needs_no_chain(pair: Pair, tmp_path: Path) -> None:
    access = held(TWO, pair.tokens[TWO])["access"] | {"addresses": (pair.chains[ONE].consumer.address,)}
    async with serving(pair, tmp_path, access=access) as world:
        asset = await world.publish(ONE)
        order = await world.pay(ONE, asset)
        world.lines[TWO].cut = True
        assert (await world.start(asset, order)).status_code == 200


async def test_one_token_is_enough_while_the_chain_of_another_is_down(pair: Pair, tmp_path: Path) -> None:
    tokens = tuple({"chain": chain, "contract": pair.tokens[chain]} for chain in (TWO, ONE))
    async with serving(pair, tmp_path, access={"tokens": tokens}) as world:
        asset = await world.publish(ONE)
        order = await world.pay(ONE, asset)
        world.lines[TWO].cut = True
        assert (await world.start(asset, order)).status_code == 200


async def test_a_token_must_be_on_a_chain_of_the_settings(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match="Environment default .* chain 5, which is not in chains"):
        async with serving(pair, tmp_path, **held(5, NOBODYS)):
            pass
