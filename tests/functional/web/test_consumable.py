"""Who may use an asset, in which state of its NFT, and for how long: over HTTP, with the codes of the API."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.chain import Ocean, make_ocean_here
from tests.support.house import NONCES, House, opened, signer
from tests.support.trade import TABLE, Trade, open_trade

from cove.access.downloads import DownloadService
from cove.client.market import AssetDraft, ServiceDraft, Wallet, mint, order, publish, reuse_order, set_metadata_state
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.web.app import create_app

NO_SUCH = "0x" + "9" * 64
NOT_LISTED, DENIED = "credential_not_in_allow_list", "credential_in_deny_list"
CONTAINER = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": "sha256:" + "0" * 64}


def rule(*addresses: str) -> list[dict[str, Any]]:
    return [{"type": "address", "values": list(addresses)}]


async def refusals(trade: Trade, wallet: Wallet) -> set[str | None]:
    """Give what every endpoint that needs an asset says to an account; None where only the order is missing."""
    found: set[str | None] = set()
    for answer, field in (
        (await trade.access(by=wallet), "documentId"),
        (await trade.compute(by=wallet), "dataset"),
        (await trade.download(NO_SUCH, by=wallet), "documentId"),
        (await trade.start(NO_SUCH, by=wallet), "dataset"),
    ):
        if answer.status_code == 200:
            found.add(None)
            continue
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        found.add(None if "order_invalid" in error.values() else error[field])
    return found


@pytest.mark.parametrize(
    ("allow", "deny", "consumer", "stranger"),
    [
        (None, None, None, None),
        ([], [], None, None),
        (rule(), rule(), None, None),
        ("lower", None, None, NOT_LISTED),
        ("upper", None, None, NOT_LISTED),
        ("upper", [], None, NOT_LISTED),
        (None, "lower", DENIED, None),
        ([], "upper", DENIED, None),
        ("lower", "upper", None, NOT_LISTED),
        (rule("*"), None, None, None),
        (None, rule("*"), DENIED, DENIED),
        ([{"type": "verifiable", "values": ["x"]}], None, NOT_LISTED, NOT_LISTED),
    ],
)
async def test_the_credential_lists_say_who(
    house: House, allow: Any, deny: Any, consumer: str | None, stranger: str | None
) -> None:
    own = house.ocean.consumer.address
    spelled = {"lower": rule(own.lower()), "upper": rule("0x" + own[2:].upper())}
    lists = {"allow": allow, "deny": deny}
    credentials = {
        name: spelled.get(given, given) if isinstance(given, str) else given for name, given in lists.items()
    }
    trade = await open_trade(house, credentials=credentials)
    assert await refusals(trade, house.ocean.consumer) == {consumer}
    assert await refusals(trade, house.ocean.stranger) == {stranger}


async def test_an_order_does_not_open_what_the_lists_close(house: House) -> None:
    trade = await open_trade(house, credentials={"deny": rule(house.ocean.consumer.address)})
    ocean = house.ocean
    await ocean.give_datatoken(trade.asset.datatoken, count=2)
    access = await order(ocean.consumer, trade.asset.datatoken, ocean.fee(trade.asset.datatoken))
    assert (await trade.download(access)).json()["error"] == {"documentId": DENIED}
    compute = await order(ocean.consumer, trade.asset.datatoken, ocean.fee(trade.asset.datatoken), service_index=1)
    assert (await trade.start(compute)).json()["error"] == {"dataset": DENIED}


async def test_an_algorithm_has_lists_of_its_own(house: House) -> None:
    ocean = house.ocean
    trade = await open_trade(house)
    files = [{"type": "local", "root": "data", "path": "table.csv"}]
    draft = AssetDraft(
        "Code",
        [ServiceDraft("access", files, "http://cove")],
        type="algorithm",
        algorithm={"language": "python", "version": "1", "container": CONTAINER},
        credentials={"allow": rule(ocean.stranger.address)},
    )
    code = await publish(ocean.publisher, ocean.addresses.factory, draft, ocean.encrypt)
    algorithm = {"documentId": code.did, "serviceId": "0", "transferTxId": NO_SUCH}
    dataset = {"documentId": trade.asset.did, "serviceId": "compute", "transferTxId": NO_SUCH}
    refused = await house.start(dataset=dataset, algorithm=algorithm)
    assert (refused.status_code, refused.json()["error"]) == (400, {"algorithm": NOT_LISTED})
    asked = {
        "datasets": [{"documentId": trade.asset.did, "serviceId": "compute"}], "algorithm": algorithm,
        "compute": {"env": "default", "validUntil": int(time.time()) + 60}, "consumerAddress": ocean.consumer.address,
    }  # fmt: skip
    refused = await house.http.post("/api/services/initializeCompute", json=asked)
    assert (refused.status_code, refused.json()["error"]) == (400, {"algorithm": NOT_LISTED})


# ---------------------------------------------------------------------------------------------------- states


async def decrypted(house: House, trade: Trade, *, by_transaction: bool) -> httpx2.Response:
    wallet, nonce, chain = house.ocean.consumer, str(next(NONCES)), str(house.ocean.chain.chain_id)
    what = trade.asset.tx_id if by_transaction else trade.asset.nft
    body = {
        "decrypterAddress": wallet.address, "chainId": chain, "dataNftAddress": trade.asset.nft, "nonce": nonce,
        "signature": signer(wallet).sign(f"{what}{wallet.address}{chain}{nonce}"),
    }  # fmt: skip
    if by_transaction:
        body["transactionId"] = trade.asset.tx_id
    else:
        event = await house.ocean.ledger().metadata_of_transaction(trade.asset.tx_id, trade.asset.nft)
        assert event is not None
        body |= {"encryptedDocument": "0x" + event.data.hex(), "flags": str(event.flags)}
        body["documentHash"] = "0x" + event.metadata_hash.hex()
    return await house.http.post("/api/services/decrypt", json=body)


@pytest.mark.parametrize(
    ("state", "code", "decrypts"),
    [
        (0, None, True),
        (1, "asset_end_of_life", False),
        (2, "asset_deprecated", False),
        (3, "asset_revoked", False),
        (4, "asset_ordering_disabled", True),
        (5, None, True),
    ],
)
async def test_the_state_of_the_nft_counts_whatever_was_paid(
    house: House, state: int, code: str | None, *, decrypts: bool
) -> None:
    """API, section 4: decrypt gives no document in the states 1, 2 and 3."""
    trade, ocean = await open_trade(house), house.ocean
    await ocean.give_datatoken(trade.asset.datatoken)
    paid = await order(ocean.consumer, trade.asset.datatoken, ocean.fee(trade.asset.datatoken))
    if state:
        await set_metadata_state(ocean.publisher, trade.asset.nft, state)
    assert await refusals(trade, ocean.consumer) == {code}
    answer = await trade.download(paid)
    assert answer.content == TABLE if code is None else answer.json()["error"] == {"documentId": code}
    for by_transaction in (True, False):
        answer = await decrypted(house, trade, by_transaction=by_transaction)
        assert answer.status_code == (201 if decrypts else 403), answer.text
        assert not decrypts or answer.content == trade.asset.document
    document = await house.http.get(f"/api/aquarius/assets/ddo/{trade.asset.did}")
    assert document.status_code == (200 if decrypts else 404), document.text


# ---------------------------------------------------------------------------------------------------- time


@dataclass
class Years:
    """A chain and a house whose clocks are put forward together."""

    house: House
    ahead: int = 0

    def now(self) -> float:
        return time.time() + self.ahead

    async def pass_by(self, seconds: int) -> None:
        self.ahead += seconds
        await self.house.ocean.chain.call("evm_increaseTime", [seconds])


@pytest.fixture
async def years(tmp_path: Path) -> AsyncIterator[Years]:
    ocean: Ocean = await make_ocean_here()
    async with opened(ocean, tmp_path) as house:
        made = Years(house)
        parts = replace(house.cove.parts, clock=made)
        loop = Reconciler(parts)
        jobs = JobService(parts, loop)
        cove = replace(house.cove, parts=parts, clock=made, downloads=DownloadService(parts), jobs=jobs)
        transport = httpx2.ASGITransport(create_app(cove))
        async with httpx2.AsyncClient(transport=transport, base_url="http://cove") as http:
            made.house = replace(house, cove=cove, http=http)
            yield made
        await loop.close()
    await ocean.chain.close()


async def test_an_order_is_good_for_the_services_timeout_and_a_reuse_renews_it(years: Years) -> None:
    trade = await open_trade(years.house, timeout=600)
    forever = await open_trade(years.house, timeout=0)
    tx, always = await trade.pay(0), await forever.pay(0)
    computes = await forever.pay(1)
    await years.pass_by(500)
    assert (await trade.download(tx)).content == TABLE
    assert (await trade.access(transferTxId=tx)).json()["validOrder"] == tx
    await years.pass_by(200)
    expired = await trade.download(tx)
    assert (expired.status_code, expired.json()["error"]) == (400, {"serviceId": "order_invalid"})
    assert "expired" in expired.json()["hint"]
    offered = (await trade.access(transferTxId=tx)).json()
    assert offered.get("validOrder") is None
    again = await reuse_order(trade.consumer, trade.asset.datatoken, tx, offered["providerFee"])
    assert (await trade.download(again)).content == TABLE
    assert (await trade.access(transferTxId=again)).json()["validOrder"] == again
    await years.pass_by(700)
    assert (await trade.download(again)).json()["error"] == {"serviceId": "order_invalid"}
    await years.pass_by(10 * 365 * 86_400)
    assert (await forever.download(always)).content == TABLE
    # The order of a compute service does not end either, but what was paid for the environment does.
    refused = await forever.start(computes)
    assert (refused.status_code, refused.json()["error"]) == (400, {"order": "fees_not_paid"})
    quote = (await forever.compute(seconds=years.ahead + 300, transferTxId=computes)).json()["datasets"][0]
    assert quote["validOrder"] == computes
    paid = await reuse_order(trade.consumer, forever.asset.datatoken, computes, quote["providerFee"])
    assert (await forever.start(paid)).status_code == 200


async def test_an_expired_order_starts_nothing(years: Years) -> None:
    trade = await open_trade(years.house, timeout=60)
    tx = await trade.pay(1)
    await years.pass_by(100)
    refused = await trade.start(tx)
    assert (refused.status_code, refused.json()["error"]) == (400, {"dataset.serviceId": "order_invalid"})
    quote = (await trade.compute(seconds=400, transferTxId=tx)).json()["datasets"][0]
    assert "validOrder" not in quote
    await mint(years.house.ocean.publisher, trade.asset.datatoken, trade.consumer.address)
    renewed = await reuse_order(trade.consumer, trade.asset.datatoken, tx, quote["providerFee"])
    assert (await trade.start(renewed)).status_code == 200
