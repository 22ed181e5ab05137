"""Files at another provider, which is a server on loopback: what is signed, in which order, and what goes wrong."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.http_server import serving
from tests.support.other_provider import OtherProvider, answer

from cove.core.errors import DataMissing, TooMany
from cove.core.files import PeerFile
from cove.crypto.keys import Account, verify_text
from cove.sources.guard import AddressGuard
from cove.sources.peer import PeerSource
from cove.sources.providers import MAX_ANSWER_BYTES, OtherProviders
from cove.sources.url import UrlSource

DID = "did:op:" + "5" * 64
ACCOUNT = Account(b"\x05" * 32)
CONTENT = b"0123456789" * 1000
NOW = 1_800_000_000.0


@pytest.fixture
def other() -> Iterator[OtherProvider]:
    with serving() as server:
        yield OtherProvider(server, {DID: [CONTENT, b"second"]})


def questions(other: OtherProvider, **limits: Any) -> OtherProviders:
    given = {"max_bytes": MAX_ANSWER_BYTES, "stall_seconds": 5, **limits}
    return OtherProviders(UrlSource(AddressGuard([f"127.0.0.1:{other.server.port}"]), **given), ACCOUNT.address)


def source(other: OtherProvider, now: float = NOW) -> PeerSource:
    web = UrlSource(AddressGuard([f"127.0.0.1:{other.server.port}"]), max_bytes=1 << 20, stall_seconds=5)
    return PeerSource(
        web, questions(other), account=ACCOUNT.address, sign=ACCOUNT.sign_text, now=lambda: now
    )  # fmt: skip


def file(other: OtherProvider, index: int = 0, **changes: Any) -> PeerFile:
    fields = {"provider": other.url, "did": DID, "service_id": "0", "order_tx": "0x" + "1" * 64, "index": index}
    return PeerFile(**{**fields, **changes})


def read(source: PeerSource, wanted: PeerFile, offset: int = 0) -> bytes:
    reader = source.open(wanted, offset)
    buffer = memoryview(bytearray(1 << 16))
    parts = []
    try:
        while count := reader.readinto(buffer):
            parts.append(bytes(buffer[:count]))
    finally:
        reader.close()
    return b"".join(parts)


def test_a_download_is_signed_by_our_account_as_clients_sign(other: OtherProvider) -> None:
    assert read(source(other), file(other, 1, userdata='{"a": "ü&b"}')) == b"second"
    (asked,) = other.downloads
    assert (asked["documentId"], asked["serviceId"], asked["fileIndex"]) == (DID, "0", "1")
    assert (asked["transferTxId"], asked["userdata"]) == ("0x" + "1" * 64, '{"a": "ü&b"}')
    assert asked["consumerAddress"] == ACCOUNT.address
    assert verify_text(f"{DID}{asked['nonce']}", asked["signature"], ACCOUNT.address)


@pytest.mark.parametrize("told", [None, "151", 1700000000000, "1800000000000000", "1800000060000000.5"])
def test_each_nonce_is_greater_than_what_the_provider_knows(other: OtherProvider, told: object) -> None:
    other.nonce = told
    peer = source(other)
    for _ in range(3):
        read(peer, file(other))
    nonces = [int(asked["nonce"]) for asked in other.downloads]
    assert nonces[0] > float(str(told or 0))
    assert nonces[0] >= NOW * 10**6
    assert all(before < after for before, after in itertools.pairwise(nonces))


def test_downloads_at_once_reach_the_provider_with_growing_nonces(other: OtherProvider) -> None:
    peer = source(other)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: read(peer, file(other)), range(24))) == {CONTENT}
    nonces = [int(asked["nonce"]) for asked in other.downloads]
    assert len(nonces) == 24
    assert nonces == sorted(set(nonces))


def test_a_nonce_that_another_service_used_first_is_tried_again(other: OtherProvider) -> None:
    other.refusals = [400, 401]
    assert read(source(other), file(other)) == CONTENT
    nonces = [int(asked["nonce"]) for asked in other.downloads]
    assert nonces == sorted(set(nonces))
    other.refusals = [400] * 3
    with pytest.raises(DataMissing, match="status 400"):
        source(other).open(file(other))
    assert other.refusals == []


def test_another_refusal_is_one(other: OtherProvider) -> None:
    other.refusals = [403, 403]
    with pytest.raises(DataMissing, match="refuses to give the file"):
        source(other).open(file(other))
    assert other.refusals == [403]


@pytest.mark.parametrize("told", ["9" * 40, 2**63, "1800003600000001"])
def test_a_provider_cannot_drive_our_nonces_up(other: OtherProvider, told: object) -> None:
    other.nonce = told
    with pytest.raises(DataMissing, match="never used"):
        source(other).open(file(other))
    assert other.downloads == []


def test_a_redirect_is_asked_about(other: OtherProvider) -> None:
    with serving() as elsewhere:
        other.server.redirect(elsewhere.url("/stolen"), "/at/api/services/download")
        with pytest.raises(DataMissing, match="not allowed"):
            source(other).open(file(other))
        assert elsewhere.asked == []
        other.server.redirect("/at/api/services/fileinfo", "/at/api/services/fileinfo", 307)
        with pytest.raises(DataMissing, match="redirects more than"):
            questions(other).files(other.url, DID, "0")


@pytest.mark.parametrize("body", [[], {}, "x", [{"index": 3}]])
def test_an_answer_that_is_none(other: OtherProvider, body: object) -> None:
    for name in ("fileinfo", "nonce", "initialize"):
        other.server.handlers[f"/at/api/services/{name}"] = lambda connection, _: answer(connection, body)
    with pytest.raises(DataMissing, match="form that is not"):
        questions(other).files(other.url, DID, "0")
    with pytest.raises(DataMissing, match="form that is not"):
        questions(other).fee(other.url, DID, "0", until=0, userdata="{}")
    assert not source(other).info(file(other)).valid


def test_an_answer_without_end_and_one_without_hurry(other: OtherProvider) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    other.server.drip(head, b"10000\r\n" + b" " * 0x10000 + b"\r\n", "/at/api/services/fileinfo", seconds=0.0)
    with pytest.raises(DataMissing, match="larger"):
        questions(other).files(other.url, DID, "0")
    other.server.drip(head, b"1\r\n \r\n", "/at/api/services/fileinfo", seconds=0.05)
    began = time.monotonic()
    with pytest.raises(DataMissing, match="longer than the time"):
        questions(other, total_seconds=0.5).files(other.url, DID, "0")
    assert time.monotonic() - began < 60


def test_a_digest_that_is_not_given_is_no_digest(other: OtherProvider) -> None:
    with pytest.raises(DataMissing, match="no checksum"):
        questions(other).digests(other.url, DID, "0")


def test_few_questions_of_anybody_are_open_at_a_time(other: OtherProvider) -> None:
    asked = questions(other, stall_seconds=2)
    other.server.hang(b"", "/at/api/services/initialize")

    def fee(_: int) -> type[Exception]:
        with pytest.raises((DataMissing, TooMany)) as caught:
            asked.fee(other.url, DID, "0", until=0, userdata="{}")
        return caught.type

    with ThreadPoolExecutor(6) as threads:
        seen = list(threads.map(fee, range(6)))
    assert sorted(seen, key=str) == [DataMissing] * 2 + [TooMany] * 4
    assert len(asked.files(other.url, DID, "0")) == 2
