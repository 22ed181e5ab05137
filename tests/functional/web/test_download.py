"""initialize and download over the real parts: what an order opens, for whom, and how it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.house import NONCES, House, signer

from cove.client.market import AssetDraft, Published, ServiceDraft, Wallet, mint, order, publish

INITIALIZE = "/api/services/initialize"
DOWNLOAD = "/api/services/download"
ROWS = b"".join(f"{number},{number * number}\n".encode() for number in range(200_000))


@dataclass
class Shop:
    """A house that sells two files."""

    house: House
    asset: Published

    def file(self, index: int = 0, **fields: str) -> dict[str, str]:
        asked = {"documentId": self.asset.did, "serviceId": "0", "fileIndex": str(index)}
        return {**asked, "consumerAddress": self.house.ocean.consumer.address, **fields}

    async def quote(self, **fields: str) -> dict[str, Any]:
        answer = await self.house.http.get(INITIALIZE, params=self.file(**fields))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def paid(self) -> str:
        fee = (await self.quote())["providerFee"]
        await mint(self.house.ocean.publisher, self.asset.datatoken, self.house.ocean.consumer.address)
        return await order(self.house.ocean.consumer, self.asset.datatoken, fee)

    async def get(
        self, tx: str, index: int = 0, *, by: Wallet | None = None, method: str = "GET", **headers: str
    ) -> httpx2.Response:
        wallet = by or self.house.ocean.consumer
        nonce = str(next(NONCES))
        signed = {
            "transferTxId": tx,
            "nonce": nonce,
            "consumerAddress": wallet.address,
            "signature": signer(wallet).sign(f"{self.asset.did}{nonce}"),
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.house.http.request(method, DOWNLOAD, params=self.file(index, **signed), headers=named)


@pytest.fixture
async def shop(house: House, tmp_path: Path) -> Shop:
    (tmp_path / "data" / "rows.csv").write_bytes(ROWS)
    files = [{"type": "local", "root": "data", "path": name} for name in ("rows.csv", "table.csv")]
    draft = AssetDraft("Rows", [ServiceDraft("access", files, "http://cove", timeout=3600)])
    return Shop(house, await publish(house.ocean.publisher, house.ocean.addresses.factory, draft, house.ocean.encrypt))


async def test_an_order_opens_each_file_for_who_paid(shop: Shop) -> None:
    tx = await shop.paid()
    whole = await shop.get(tx)
    assert (whole.status_code, whole.content) == (200, ROWS)
    assert whole.headers["content-length"] == str(len(ROWS))
    assert whole.headers["content-disposition"] == "attachment;filename=rows.csv"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert (await shop.get(tx, 1)).content == b"a\n1\n"
    refused = await shop.get(tx, by=shop.house.ocean.stranger)
    assert (refused.status_code, refused.json()["error"]) == (400, {"serviceId": "order_invalid"})
    again = await shop.quote(transferTxId=tx)
    assert (again["validOrder"], again.get("providerFee")) == (tx, None)


async def test_a_part_of_a_file_can_be_asked_for(shop: Shop) -> None:
    tx = await shop.paid()
    part = await shop.get(tx, range="bytes=10-19")
    assert (part.status_code, part.content) == (206, ROWS[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(ROWS)}"
    assert (await shop.get(tx, range="bytes=-5")).content == ROWS[-5:]
    outside = await shop.get(tx, range=f"bytes={len(ROWS)}-")
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(ROWS)}")
    head = await shop.get(tx, method="HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(ROWS)))
    etag = head.headers["etag"]
    assert (await shop.get(tx, if_none_match=etag)).status_code == 304
    assert (await shop.get(tx, range="bytes=0-0", if_range=etag)).status_code == 206
    assert (await shop.get(tx, range="bytes=0-0", if_range='"other"')).status_code == 200


async def test_the_quote_is_free_and_signed(shop: Shop) -> None:
    quote = await shop.quote(validUntil="0")
    fee = quote["providerFee"]
    assert (quote["datatoken"], fee["providerFeeAmount"], fee["validUntil"]) == (shop.asset.datatoken, "0", 0)
    assert fee["providerFeeAddress"] == shop.house.cove.vault.address
    assert quote["nonce"].isdigit()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"fileIndex": "2"}, {"fileIndex": "out_of_range"}),
        ({"serviceId": "7"}, {"serviceId": "not_found"}),
        ({"documentId": "did:op:" + "9" * 64}, {"documentId": "did_not_found"}),
    ],
)
async def test_what_is_not_there_is_named(shop: Shop, change: dict[str, str], error: dict[str, str]) -> None:
    answer = await shop.house.http.get(INITIALIZE, params={**shop.file(), **change})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("index", ["-1", "1e3", "x", "9" * 30, "1.5"])
async def test_an_index_that_is_none_is_refused_before_anything(shop: Shop, index: str) -> None:
    for path in (INITIALIZE, DOWNLOAD):
        fields = {**shop.file(), "fileIndex": index, "transferTxId": "0x" + "1" * 64, "nonce": "1", "signature": "0x1"}
        answer = await shop.house.http.get(path, params=fields)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["fileIndex"])


async def test_a_compute_service_is_not_downloaded(shop: Shop) -> None:
    compute = {**shop.file(), "documentId": shop.house.dataset.did}
    answer = await shop.house.http.get(INITIALIZE, params=compute)
    assert (answer.status_code, answer.json()["error"]) == (400, {"serviceId": "compute_service"})
    assert "initializeCompute" in answer.json()["hint"]
    paid = await shop.house.paid()
    nonce = str(next(NONCES))
    consumer = shop.house.ocean.consumer
    signed = {
        "transferTxId": paid, "nonce": nonce, "signature": signer(consumer).sign(f"{shop.house.dataset.did}{nonce}")
    }  # fmt: skip
    answer = await shop.house.http.get(DOWNLOAD, params={**compute, **signed})
    assert (answer.status_code, answer.json()["error"]) == (400, {"serviceId": "compute_service"})


async def test_an_order_of_another_asset_opens_nothing(shop: Shop) -> None:
    answer = await shop.get(await shop.house.paid())
    assert (answer.status_code, answer.json()["error"]) == (400, {"serviceId": "order_invalid"})
    answer = await shop.get("0x" + "5" * 64)
    assert (answer.status_code, answer.json()["error"]) == (400, {"serviceId": "order_invalid"})


async def test_a_file_that_is_gone_is_told_with_its_index(shop: Shop, tmp_path: Path) -> None:
    tx = await shop.paid()
    (tmp_path / "data" / "rows.csv").unlink()
    answer = await shop.get(tx)
    assert (answer.status_code, answer.json()["context"]) == (503, "file 0")
    assert "rows.csv" not in answer.text
    assert (await shop.get(tx, 1)).status_code == 200
    quote = await shop.house.http.get(INITIALIZE, params=shop.file())
    assert (quote.status_code, quote.json()["error"]) == (400, {"fileIndex": "file_unavailable"})
