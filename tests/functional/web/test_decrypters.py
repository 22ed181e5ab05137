"""decrypt where the owner named who may call it."""

from __future__ import annotations

from pathlib import Path

import httpx2
from tests.chain import Ocean
from tests.support.house import NONCES, House, opened

from cove.client import Signer
from cove.settings import ApiSettings


async def decrypted(house: House, key: str) -> httpx2.Response:
    asker, nonce, tx_id = Signer(key), str(next(NONCES)), house.dataset.tx_id
    return await house.http.post("/api/services/decrypt", json={
        "decrypterAddress": asker.address,
        "chainId": 8996,
        "dataNftAddress": house.dataset.nft,
        "transactionId": tx_id,
        "nonce": nonce,
        "signature": asker.sign(f"{tx_id}{asker.address}8996{nonce}"),
    })  # fmt: skip


async def test_only_the_accounts_that_the_owner_named_decrypt(ocean: Ocean, tmp_path: Path) -> None:
    provider, named, other = (ocean.chain.accounts[place].private_key for place in (1, 2, 3))
    api = ApiSettings(authorized_decrypters=("0x" + Signer(named).address[2:].upper(),))
    async with opened(ocean, tmp_path, api=api) as house:
        for key in (named, provider):
            answer = await decrypted(house, key)
            assert (answer.status_code, answer.content) == (201, house.dataset.document)
        refused = await decrypted(house, other)
        assert (refused.status_code, refused.json()["error"]) == (403, "Decrypter not authorized")
        assert refused.json()["code"] == "forbidden"
        assert refused.json()["hint"]
        # What Cove itself reads goes on: the quote needs the asset's DDO and its file list.
        assert (await house.http.get(f"/api/aquarius/assets/ddo/{house.dataset.did}")).status_code == 200
        assert int((await house.quote())["providerFeeAmount"])


async def test_anybody_decrypts_where_the_owner_named_nobody(house: House) -> None:
    answer = await decrypted(house, "77" * 32)
    assert (answer.status_code, answer.content) == (201, house.dataset.document)
