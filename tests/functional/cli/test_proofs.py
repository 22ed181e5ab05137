"""A service that is killed between serving a file and proving it."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import httpx2
import pytest
from tests.chain import Ocean
from tests.functional.cli.conftest import settings_text, write_key
from tests.support.http_server import Asked, Server, serving
from tests.support.programs import Running, cove, running

from cove.client import Signer
from cove.client.market import AssetDraft, Published, ServiceDraft, mint, order, provider_encrypt, publish
from cove.core.proof import provider_data
from cove.ledgers import abi

EXECUTED = b"OrderExecuted(address,address,bytes32,bytes,bytes,bytes,bytes,uint256,uint256)"
NONCES = itertools.count(1_900_000_000_000)
FILES = 3
ACCESS = {
    "chain_id": 8996, "order_tx": "0x" + "a" * 64, "datatoken": "0x" + "b" * 40, "consumer": "0x" + "c" * 40,
    "provider_data": provider_data("did:op:1", "0", 0), "consumer_data": "did:op:15", "consumer_signature": "0x01",
}  # fmt: skip


@pytest.fixture
def notary() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def owner(ocean: Ocean, rpc: str, tmp_path: Path, notary: Server) -> Path:
    """Give a folder whose service wants proofs; its account can pay for gas."""
    (tmp_path / "data").mkdir()
    for index in range(FILES):
        (tmp_path / "data" / f"{index}.csv").write_text(f"{index}\n")
    hooks = f'[hooks]\nhttp_proof_url = "{notary.url()}?s3cret"\nchain_proof = true\ntimeout_seconds = 1.0\n'
    (tmp_path / "cove.toml").write_text(settings_text(ocean, rpc, tmp_path) + hooks)
    write_key(tmp_path / "provider.key", ocean.chain.accounts[1].private_key)
    return tmp_path


async def sell(ocean: Ocean, url: str) -> tuple[Published, str]:
    files = [{"type": "local", "root": "data", "path": f"{index}.csv"} for index in range(FILES)]
    draft = AssetDraft("Rows", [ServiceDraft("access", files, url, timeout=3600)])
    encrypt = provider_encrypt(url, ocean.chain.chain_id)
    asset = await publish(ocean.publisher, ocean.addresses.factory, draft, encrypt)
    asked = {"documentId": asset.did, "serviceId": "0", "consumerAddress": ocean.consumer.address}
    async with httpx2.AsyncClient(timeout=120) as http:
        fee = (await http.get(f"{url}/api/services/initialize", params=asked)).json()["providerFee"]
    await mint(ocean.publisher, asset.datatoken, ocean.consumer.address)
    return asset, await order(ocean.consumer, asset.datatoken, fee)


def fetch(ocean: Ocean, url: str, asset: Published, tx: str, index: int) -> None:
    nonce = str(next(NONCES))
    params = {
        "documentId": asset.did, "serviceId": "0", "fileIndex": str(index), "transferTxId": tx, "nonce": nonce,
        "consumerAddress": ocean.consumer.address,
        "signature": Signer(ocean.chain.accounts[2].private_key).sign(f"{asset.did}{nonce}"),
    }  # fmt: skip
    answer = httpx2.get(f"{url}/api/services/download", params=params, timeout=120)
    assert (answer.status_code, answer.text) == (200, f"{index}\n")


def proven(ocean: Ocean, asset: Published) -> list[str]:
    """Give what the chain says of an asset's files, in the order of the chain."""
    topic = "0x" + abi.keccak(EXECUTED).hex()
    wanted = {"fromBlock": "0x0", "address": asset.datatoken, "topics": [topic]}
    logs = asyncio.run(ocean.chain.call("eth_getLogs", [wanted]))
    assert isinstance(logs, list)
    kinds = ["bytes32", "bytes", "bytes", "bytes", "bytes", "uint256", "uint256"]
    return [abi.decode(kinds, bytes.fromhex(log["data"][2:]))[1].decode() for log in logs]


def automine(ocean: Ocean, *, on: bool) -> None:
    asyncio.run(ocean.chain.call("evm_setAutomine", [on]))


def url_of(service: Running) -> str:
    return str(service.line(r"listening on (http://\S+)")[1])


def test_what_was_served_is_proven_once_after_a_kill(ocean: Ocean, owner: Path, notary: Server) -> None:
    arrived = threading.Event()

    def keep(connection: socket.socket, _: Asked) -> None:
        arrived.set()
        connection.recv(1)

    notary.handlers["/file"] = keep
    with running("serve", cwd=owner) as service:
        url = url_of(service)
        asset, tx = asyncio.run(sell(ocean, url))
        automine(ocean, on=False)
        try:
            for index in range(FILES):
                fetch(ocean, url, asset, tx, index)
            assert arrived.wait(120)
            service.signal(signal.SIGKILL)
            service.end()
            assert proven(ocean, asset) == []
            doctor = json.loads(cove("doctor", "--json", cwd=owner).stdout)
            found = sorted(one["seen"] for one in doctor if one["part"] == "proofs")
            assert [text.split(";")[0] for text in found] == [
                f"{FILES} proofs of access are on their way to {lane}" for lane in ("chain:8996", "http")
            ]
        finally:
            automine(ocean, on=True)
            asyncio.run(ocean.chain.call("evm_mine", []))
    notary.asked.clear()
    notary.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    wanted = [provider_data(asset.did, "0", index) for index in range(FILES)]
    with running("serve", cwd=owner) as service:
        url_of(service)
        for number in range(1, 2 * FILES + 1):
            service.line(rf"proof {number} is delivered", service.err)
        service.signal(signal.SIGTERM)
        assert service.end() == 0
        assert "s3cret" not in service.text + service.words
    assert proven(ocean, asset) == wanted
    posted = [dict(parse_qsl(asked.body.decode()))["providerData"] for asked in notary.asked]
    assert sorted(posted) == wanted
    assert [one for one in json.loads(cove("doctor", "--json", cwd=owner).stdout) if one["part"] == "proofs"] == []


def test_what_was_given_up_is_shown_beside_a_running_service(ocean: Ocean, owner: Path, notary: Server) -> None:
    notary.say(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    with running("serve", cwd=owner) as service:
        url = url_of(service)
        asset, tx = asyncio.run(sell(ocean, url))
        fetch(ocean, url, asset, tx, 0)
        service.line(r"not delivered \(attempt 1 of \d+\): proof server answered status 500", service.err)
        doctor = json.loads(cove("doctor", "--json", cwd=owner).stdout)
        (found,) = [one["seen"] for one in doctor if one["part"] == "proofs" and "http" in one["seen"]]
        assert found == "1 proofs of access are on their way to http; last: proof server answered status 500"


def test_what_was_given_up_is_sent_again_on_request(owner: Path, notary: Server) -> None:
    assert cove("retry-proofs", cwd=owner).returncode == 2
    notary.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with running("serve", cwd=owner) as service:
        url_of(service)
        assert json.loads(cove("retry-proofs", "--json", cwd=owner).stdout) == {"retried": 0}
        with sqlite3.connect(next(owner.rglob("cove.db"))) as database:
            database.execute(
                "INSERT INTO proofs (key, lane, state, version, attempts, due_at, note, document) "
                "VALUES ('k', 'http', 'failed', 1, 30, 9e9, 'down', ?)",
                (json.dumps({"access": ACCESS, "sent": []}),),
            )
        assert cove("retry-proofs", cwd=owner).stdout == "1 proofs of access will be sent again.\n"
        service.signal(signal.SIGTERM)
        assert service.end() == 0
    with running("serve", cwd=owner) as service:
        url_of(service)
        service.line(r"proof 1 is delivered to http", service.err)
