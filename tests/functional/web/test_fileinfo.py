"""What fileinfo says of a file that the caller describes, for every type, through the wiring of a real Cove."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from tests.chain import Ocean
from tests.support.house import SharedChain
from tests.support.http_server import Server, serving

from cove.client.market import AssetDraft, ServiceDraft, publish, token_balance
from cove.settings import ChainSettings, Settings, UrlSettings
from cove.web.app import create_app
from cove.wiring.assembly import open_cove

CID = "Qm" + "a" * 44
ARWEAVE_ID = "b" * 43
BALANCE = {
    "type": "function",
    "name": "balanceOf",
    "stateMutability": "view",
    "inputs": [{"name": "who", "type": "address"}],
    "outputs": [{"type": "uint256"}],
}


@dataclass
class Told:
    http: httpx2.AsyncClient
    server: Server
    ocean: Ocean

    async def about(self, **file: Any) -> dict[str, Any]:
        answer = await self.http.post("/api/services/fileinfo", json=file | {"checksum": True})
        assert answer.status_code == 200, answer.text
        (entry,) = answer.json()
        return {name: entry.get(name) for name in ("type", "valid", "contentLength", "filename", "checksum")}


@pytest.fixture(params=[True, False], ids=["gateways", "no gateways"])
def has_gateways(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


@pytest.fixture
async def told(ocean: Ocean, tmp_path: Path, has_gateways: bool) -> AsyncIterator[Told]:  # noqa: FBT001 - a fixture
    with serving() as server:
        gateway = server.url("") if has_gateways else ""
        chain = ChainSettings(id=8996, rpc=SecretStr("http://127.0.0.1:1"), factory=ocean.addresses.factory)
        settings = Settings(
            state_dir=tmp_path / "state",
            key=SecretStr(ocean.chain.accounts[1].private_key),
            environments=(),
            chains=(chain,),
            url_files=UrlSettings(allowed=(f"127.0.0.1:{server.port}",), ipfs_gateway=gateway, arweave_gateway=gateway),
        )
        async with open_cove(settings, connect=lambda _: SharedChain(ocean.chain), loop=False) as cove:
            transport = httpx2.ASGITransport(create_app(cove), raise_app_exceptions=True)
            async with httpx2.AsyncClient(transport=transport, base_url="http://cove.example") as http:
                yield Told(http, server, ocean)


def _nothing(kind: str) -> dict[str, Any]:
    return {"type": kind, "valid": False}


async def test_every_type_is_looked_at(told: Told, has_gateways: bool) -> None:  # noqa: FBT001 - a fixture
    for path in (f"/ipfs/{CID}", f"/{ARWEAVE_ID}", "/query", "/bucket/rows.csv"):
        told.server.serve(b"rows", path)
    for kind, file, name in (
        ("ipfs", {"hash": CID}, ""),
        ("arweave", {"transactionId": ARWEAVE_ID}, ""),
        ("graphql", {"url": told.server.url("/query"), "query": "{ rows }", "userdata": {"a": 1}}, "graphql.json"),
        ("s3", {"s3Access": {"endpoint": told.server.url(""), "bucket": "bucket", "objectKey": "rows.csv",
                             "region": "r", "accessKeyId": "k", "secretAccessKey": "s"}}, "rows.csv"),
    ):  # fmt: skip
        found = await told.about(type=kind, **file)
        if has_gateways or kind not in {"ipfs", "arweave"}:
            digest = hashlib.sha256(b"rows").hexdigest()
            assert found == {
                "type": kind, "valid": True, "contentLength": "4", "filename": name, "checksum": digest
            }  # fmt: skip
        else:
            assert found | _nothing(kind) == found
    if has_gateways:
        assert b'"variables": {"a": 1}' in next(asked.body for asked in told.server.asked if asked.target == "/query")


async def test_a_contract_is_asked_on_its_chain(told: Told) -> None:
    token, owner = told.ocean.addresses.fee_token, told.ocean.consumer.address
    file = {"type": "smartcontract", "chainId": 8996, "address": token, "abi": BALANCE}
    length = str(len(str(await token_balance(told.ocean.consumer, token))))
    for userdata in ({"who": owner}, f'{{"who": "{owner}"}}'):
        found = await told.about(**file, userdata=userdata)
        assert (found["valid"], found["contentLength"], found["filename"]) == (True, length, "smartcontract.json")
    assert (await told.about(**file))["valid"] is False
    assert (await told.about(**file | {"chainId": 1}, userdata={"who": owner}))["valid"] is False


async def test_the_files_of_a_published_asset(told: Told, has_gateways: bool) -> None:  # noqa: FBT001 - a fixture
    for path in (f"/ipfs/{CID}", f"/{ARWEAVE_ID}", "/query", "/bucket/rows.csv"):
        told.server.serve(b"rows", path)
    decimals = {"name": "decimals", "stateMutability": "view", "outputs": [{"type": "uint8"}]}
    bucket = {"endpoint": told.server.url(""), "bucket": "bucket", "objectKey": "rows.csv"}
    files = [
        {"type": "ipfs", "hash": CID},
        {"type": "arweave", "transactionId": ARWEAVE_ID},
        {"type": "graphql", "url": told.server.url("/query"), "query": "{ rows }"},
        {"type": "smartcontract", "chainId": 8996, "address": told.ocean.addresses.fee_token, "abi": decimals},
        {"type": "s3", "s3Access": bucket | {"accessKeyId": "k", "secretAccessKey": "s"}},
    ]
    draft = AssetDraft("Of every type", [ServiceDraft("access", files, "http://cove.example")])
    asset = await publish(told.ocean.publisher, told.ocean.addresses.factory, draft, told.ocean.encrypt)
    answer = await told.http.post("/api/services/fileinfo", json={"did": asset.did, "serviceId": "0"})
    assert [(entry["type"], entry["valid"]) for entry in answer.json()] == [
        ("ipfs", has_gateways), ("arweave", has_gateways), ("graphql", True), ("smartcontract", True), ("s3", True),
    ]  # fmt: skip
    for secret in (CID, ARWEAVE_ID, told.server.url(""), told.ocean.addresses.fee_token):
        assert secret not in answer.text


async def test_what_cannot_be_looked_at(told: Told) -> None:
    for file, field in (
        ({"type": "local", "root": "data", "path": "x"}, "type"),
        ({"type": "ipfs", "hash": "../x"}, "file.hash"),
        ({"type": "url", "url": told.server.url(), "userdata": "[]"}, "userdata"),
        ({"type": "url", "url": told.server.url(), "userdata": [1]}, "userdata"),
    ):
        answer = await told.http.post("/api/services/fileinfo", json=file)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert not told.server.asked
