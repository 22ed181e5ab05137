"""Sections 6.5 and 6.6 of the API: bombs and secrets, tried on a serving process that logs everything."""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
import lzma
import time
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.served import PROVIDER_KEY, Served, served
from tests.support.trade import packed

from cove.client import Signer
from cove.client.market import NO_ADDRESS

__all__ = ["served"]

API = "/api/services"
CHECKSUM = "sha256:" + "0" * 64
BIG = 256 << 20
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with served.http() as client:
        yield client


def peak(served: Served) -> int:
    """Give the most memory that the service ever held, in bytes."""
    lines = Path(f"/proc/{served.service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def command_line(served: Served) -> bytes:
    """Give what every user of this machine can see of the process."""
    return Path(f"/proc/{served.service.process.pid}/cmdline").read_bytes()


@functools.cache
def squeezed(form: int = lzma.FORMAT_XZ) -> bytes:
    return lzma.compress(b"\0" * BIG, form, preset=0)


def zipped(size: int) -> bytes:
    packed_file = BytesIO()
    with zipfile.ZipFile(packed_file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * size)
    return packed_file.getvalue()


async def decrypt(served: Served, http: httpx2.AsyncClient, document: bytes, flags: int, nonce: str) -> httpx2.Response:
    account = Signer(served.ocean.chain.accounts[2].private_key)
    asset = await served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}])
    chain = str(served.ocean.chain.chain_id)
    body = {
        "decrypterAddress": account.address, "chainId": chain, "dataNftAddress": asset.nft, "nonce": nonce,
        "encryptedDocument": "0x" + document.hex(), "flags": flags,
        "documentHash": "0x" + "1" * 64,
        "signature": account.sign(f"{asset.nft}{account.address}{chain}{nonce}"),
    }  # fmt: skip
    return await http.post(f"{API}/decrypt", json=body)


async def test_6_5_a_small_document_does_not_become_a_large_one(served: Served, http: httpx2.AsyncClient) -> None:
    before = peak(served)
    for number, (bomb, flags) in enumerate([
        (squeezed(), 1),
        (squeezed(lzma.FORMAT_ALONE), 1),
        (lzma.compress(squeezed()), 1),
        (gzip.compress(b"\0" * BIG, 1), 1),
        (zipped(BIG), 1),
        (gzip.compress(b"\0" * BIG, 1), 0),
    ]):  # fmt: skip
        answer = await decrypt(served, http, bomb, flags, str(time.time_ns() + number))
        assert answer.status_code == 400, answer.text
    assert peak(served) - before < BIG // 2


async def test_6_5_a_bomb_on_the_chain_is_no_asset(served: Served, http: httpx2.AsyncClient) -> None:
    asset = await served.publish([{"type": "url", "url": served.outside.url(), "method": "GET"}])
    bomb, before = squeezed(), peak(served)
    await served.ocean.publisher.transact(
        asset.nft,
        "setMetaData(uint8,string,string,bytes,bytes,bytes32,(address,uint8,bytes32,bytes32)[])",
        [0, served.url, NO_ADDRESS, b"\1", bomb, hashlib.sha256(b"\0" * BIG).digest(), []],
    )
    async with asyncio.timeout(120):
        while (answer := await http.get(f"/api/aquarius/assets/ddo/{asset.did}")).status_code == 200:
            pass  # the chain's newest blocks are read once a second
    assert answer.status_code == 404
    assert peak(served) - before < BIG // 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "xz", "gzip, gzip"])
async def test_6_5_a_packed_body_is_never_unpacked(served: Served, http: httpx2.AsyncClient, encoding: str) -> None:
    before = peak(served)
    bomb = gzip.compress(b"[" * BIG, 1)
    for path in ("compute", "initializeCompute", "fileinfo", "decrypt", "validateContainer"):
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        answer = await http.post(f"{API}/{path}", content=bomb, headers=headers)
        assert answer.status_code == 400, answer.text
    assert peak(served) - before < BIG // 4


async def raw(served: Served, request: bytes) -> bytes:
    """Send bytes, and give what comes until the service closes or is silent."""
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(120):
            return await reader.read(65536)
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"a" * (1 << 20) + b"\r\n",
        b"".join(b"X-%d: a\r\n" % number for number in range(50_000)),
        b"Cookie: " + b"a=b; " * 100_000 + b"\r\n",
        b"AuthToken: " + b"a" * 60_000 + b"\r\n",
        b"Range: bytes=" + b"0-1," * 10_000 + b"\r\n",
        b"Content-Length: " + b"9" * 4000 + b"\r\n",
    ],
    ids=["long", "many", "cookie", "token", "ranges", "length"],
)
async def test_6_5_huge_headers_are_cut_off(served: Served, http: httpx2.AsyncClient, head: bytes) -> None:
    before = peak(served)
    for target in (
        b"GET /api/services/compute?jobId=%s HTTP/1.1\r\n" % (b"0" * 32),
        b"POST /api/services/compute HTTP/1.1\r\n",
    ):
        answer = await raw(served, target + b"Host: a\r\n" + head + b"Connection: close\r\n\r\n")
        assert answer == b"" or answer.split(b" ", 2)[1] in {b"200", b"400", b"413", b"416", b"431"}, answer[:200]
    assert peak(served) - before < BIG // 4
    assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b"[" * 2_000_000,
        b'{"nonce":' + b"9" * 1_000_000 + b"}",
        b'{"nonce":1.' + b"9" * 1_000_000 + b"}",
        b'{"nonce":1e999999999}',
        b'{"consumerAddress":"0x1","nonce":"' + b"9" * 1_000_000 + b'"}',
        b'{"dataset":{"userdata":{"a":' + b"9" * 1_000_000 + b"}}}",
        b'{"dataset":{"userdata":"' + b"[" * 100_000 + b'"}}',
        b'{"algorithm":{"meta":{"rawcode":"' + b"a" * 1_000_000 + b'"}}}',
        b'{"additionalDatasets":[' + b"{}," * 100_000 + b"{}]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(200_000)) + b"}",
        b'{"type":"url","url":"http://a/","headers":{' + b",".join(b'"%d":"1"' % n for n in range(100_000)) + b"}}",
        b'{"type":"url","url":"http://' + b"a" * 1_000_000 + b'"}',
        b'{"type":"graphql","url":"http://a/","query":"query ' + b"{a" * 100_000 + b"}" * 100_000 + b'"}',
    ],
    ids=lambda body: body[:24].decode(),
)
async def test_6_5_no_json_takes_long_or_breaks_anything(served: Served, http: httpx2.AsyncClient, body: bytes) -> None:
    for path in ("compute", "initializeCompute", "fileinfo", "decrypt", "validateContainer"):
        began = time.monotonic()
        answer = await http.post(f"{API}/{path}", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (path, answer.status_code)
        assert time.monotonic() - began < 30
        assert len(answer.content) < 10_000


async def test_6_5_no_query_takes_long_or_breaks_anything(served: Served, http: httpx2.AsyncClient) -> None:
    many = "&".join(f"a{number}=1" for number in range(5000))
    long = "9" * 30_000
    address = "0x" + "1" * 40
    for path, query in (
        ("compute", many), ("download", many), ("nonce", f"userAddress={address}&{many}"), ("compute", "jobId=" + long),
        ("nonce", f"userAddress={long}"), ("computeResult", f"jobId={'0' * 32}&index={long}&consumerAddress={address}"),
        ("compute", f"consumerAddress={address}&nonce={long}&signature=0x1"),
        ("compute", f"consumerAddress={address}&nonce=1&signature=0x{long}"),
        ("createAuthToken", f"address={address}&nonce=1&expiration={long}&signature=0x1"),
        ("initialize", f"documentId=did:op:{'1' * 64}&serviceId=1&consumerAddress={address}&fileIndex={long}"),
        ("initialize", f"documentId=did:op:{'1' * 64}&serviceId=1&consumerAddress={address}&userdata={'[' * 30_000}"),
        ("initialize", f"documentId={'%25' * 10_000}&serviceId=1&consumerAddress={address}"),
    ):  # fmt: skip
        began = time.monotonic()
        answer = await http.get(f"{API}/{path}?{query}")
        # the one that is well-formed names no asset; a query that is too long for the server is cut off by it
        assert answer.status_code in {200, 400}, (path, query[:60], answer.status_code)
        assert answer.status_code == 400 or path == "nonce"
        assert time.monotonic() - began < 30
        assert len(answer.content) < 10_000


# ---------------------------------------------------------------------------------------------------- secrets


async def test_6_6_no_secret_is_in_a_log_or_an_error(served: Served, http: httpx2.AsyncClient) -> None:
    """Errors of every kind, each with a secret in every place that a client or an owner can put one."""
    secret = "s3cr3t" + "f00d" * 4
    signer = Signer(served.ocean.chain.accounts[2].private_key)
    bad = {"signature": "0x" + secret.encode().hex(), "nonce": str(time.time_ns()), "consumerAddress": signer.address}
    container = {"entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": CHECKSUM}
    headers = {"AuthToken": f"{secret}.{secret}.{secret}", "Authorization": f"Bearer {secret}", "Cookie": secret}
    urls = [f"http://127.0.0.1:1/{secret}?key={secret}", f"http://user:{secret}@h/", f"http://{secret}.invalid/",
            f"{served.outside.url('/broken')}?{secret}"]  # fmt: skip
    served.outside.say(f"HTTP/1.1 500 {secret}\r\nX: {secret}\r\n\r\n{secret}".encode(), "/broken")
    answers: list[httpx2.Response] = []
    for url in urls:
        file = {"type": "url", "url": url, "method": "GET", "headers": {"X-Key": secret}, "userdata": {"k": secret}}
        answers.append(await http.post(f"{API}/fileinfo", json={**file, "checksum": True}, headers=headers))
        meta = {"meta": {"url": url, "container": container}}
        body: dict[str, Any] = {**bad, "algorithm": meta, "environment": "default", "envs": {"K": secret}}
        answers.append(await http.post(f"{API}/compute", json=body, headers=headers))
    s3 = {"endpoint": "http://127.0.0.1:1", "accessKeyId": secret, "secretAccessKey": secret, "bucket": "abc"}
    answers += [
        await http.post(f"{API}/fileinfo", json={"type": "s3", "s3Access": {**s3, "objectKey": secret}}),
        await http.post(f"{API}/fileinfo", json={"type": "graphql", "url": urls[0], "query": f'{{a(b:"{secret}")}}'}),
        await http.post(f"{API}/compute", content=b'{"signature":"' + secret.encode(), headers=headers),
        await http.post(f"{API}/compute", content=secret.encode() + b"\xff", headers=headers),
        await http.get(f"{API}/compute", params={**bad, "jobId": "0" * 32}, headers=headers),
        await http.get(f"{API}/createAuthToken", params={**bad, "address": signer.address, "expiration": secret}),
        await http.request("DELETE", f"{API}/deleteAuthToken", json={**bad, "address": signer.address, "token": secret}),
        await http.get(f"{API}/nothing?{secret}", headers=headers),
        await http.request("TRACE", f"{API}/compute?{secret}", headers=headers),
        await http.post(f"{API}/encrypt?chainId={secret}", content=secret.encode()),
        await http.post(f"{API}/decrypt", data={**bad, "encryptedDocument": secret}),
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} <= {200, 400, 404, 405}
    answers += await failing_jobs(served, http, urls, secret)
    # a node that is gone is Cove's own trouble: its URL has a token in it
    await raw(served, b"GET /" + secret.encode() + b" NONSENSE\r\n\r\n")
    told = "".join(answer.text + str(answer.headers) for answer in answers)
    for text in (told, served.service.text + served.service.words):
        assert secret not in text
        assert secret.encode().hex() not in text
        assert PROVIDER_KEY not in text.lower()
        assert "rpc-token" not in text
    command = command_line(served)
    assert secret.encode() not in command
    assert PROVIDER_KEY.encode() not in command


async def failing_jobs(served: Served, http: httpx2.AsyncClient, urls: list[str], secret: str) -> list[httpx2.Response]:
    """Run jobs whose data cannot be had, and one whose algorithm prints secrets, and give their statuses."""
    ocean, statuses = served.ocean, []
    signer = Signer(ocean.chain.accounts[2].private_key)
    served.outside.serve(b"a", "/good")
    for url in (urls[0], urls[3], served.outside.url("/good")):
        asset = await served.publish([{"type": "url", "url": url, "method": "GET", "headers": {"X-Key": secret}}])
        await ocean.give_datatoken(asset.datatoken)
        dataset: dict[str, Any] = {"documentId": asset.did, "serviceId": "compute"}
        code = f"import sys\nprint('{secret}')\nsys.exit('{secret}')"
        algorithm = {"meta": {"rawcode": code, "container": {
            "entrypoint": "python3 $ALGO", "image": "cove/host", "tag": "", "checksum": CHECKSUM}},
            "algocustomdata": {"key": secret}}  # fmt: skip
        quote = await http.post(f"{API}/initializeCompute", json={
            "datasets": [dataset], "algorithm": algorithm, "consumerAddress": signer.address,
            "compute": {"env": "default", "validUntil": int(time.time()) + 300}})  # fmt: skip
        fee = quote.json()["datasets"][0]["providerFee"]
        await ocean.consumer.transact(fee["providerFeeToken"], "approve(address,uint256)",
                                      [asset.datatoken, int(fee["providerFeeAmount"])])  # fmt: skip
        sent = await ocean.consumer.transact(
            asset.datatoken,
            "startOrder(address,uint256,(address,address,uint256,uint8,bytes32,bytes32,uint256,bytes),"
            "(address,address,uint256))",
            [signer.address, 1, packed(fee), (NO_ADDRESS, NO_ADDRESS, 0)],
        )
        dataset |= {"transferTxId": sent.tx_id, "userdata": {"key": secret}}
        nonce = str(time.time_ns())
        started = await http.post(f"{API}/compute", json={
            "dataset": dataset, "algorithm": algorithm, "environment": "default", "envs": {"KEY": secret},
            "consumerAddress": signer.address, "nonce": nonce,
            "signature": signer.sign(f"{signer.address}{asset.did}{nonce}")})  # fmt: skip
        assert started.status_code == 200, started.text
        async with asyncio.timeout(120):
            while not (await _status(http, started)).json()[0]["dateFinished"]:
                pass
        statuses.append(await _status(http, started))
    assert [status.json()[0]["status"] for status in statuses] == [31, 31, 70]
    assert statuses[2].json()[0]["statusText"] == "Job failed: exit code 1"
    return statuses


async def _status(http: httpx2.AsyncClient, started: httpx2.Response) -> httpx2.Response:
    return await http.get(f"{API}/compute", params={"jobId": started.json()[0]["jobId"]})
