"""Which services may be fetched from another provider, with what, and what its answers mean."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import DID, a_service, an_asset

from cove.core import messages
from cove.core.errors import Invalid, Refused
from cove.core.files import PeerFile
from cove.core.nonce import WHOLE_DIGITS
from cove.core.peers import (
    NONCE_SKEW,
    base_of,
    check_fetchable,
    download_url,
    fileinfo_url,
    initialize_url,
    next_nonce,
    nonce_url,
    read_fee,
    read_files,
    read_nonce,
    same_place,
)

ACCOUNT = "0x" + "5" * 40
NOW = 1_800_000_000_000_000
FEE = {
    "providerFeeAddress": "0x" + "1" * 40,
    "providerFeeToken": "0x" + "0" * 40,
    "providerFeeAmount": "12",
    "providerData": "0x7b7d",
    "v": 27,
    "r": "0x" + "0a" * 32,
    "s": "0xb",
    "validUntil": 0,
}
WHOLE = st.integers(0, 2**53 - 1)


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("https://other.example", "https://other.example"),
        ("https://Other.example:443/", "https://other.example"),
        ("http://other.example:8030/provider/", "http://other.example:8030/provider"),
    ],
)
def test_the_base_of_an_endpoint(endpoint: str, base: str) -> None:
    assert base_of(endpoint) == base
    assert nonce_url(base, ACCOUNT).path.endswith("/api/services/nonce")


@pytest.mark.parametrize(
    "endpoint",
    ["", "other.example", "ftp://other.example", "file:///etc", "https://a@b/", "https://b/?x=1", "https://b/#x",
     "https://b/\r\nX: 1", "//b", "https://b:0/"],
)  # fmt: skip
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        base_of(endpoint)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example", "http://A.example/", True),
        ("https://a.example:443/x/", "https://a.example/x", True),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example/x", "https://a.example/y", False),
        ("https://a.example", "", False),
        ("", "", False),
        ("nothing", "nothing", False),
    ],
)
def test_two_urls_of_one_place(one: str, other: str, *, same: bool) -> None:
    assert same_place(one, other) is same
    assert same_place(other, one) is same


def fetchable(*services: dict[str, Any], own: str = "https://own.example", main: bool = False, ours: str = "") -> str:
    asset = an_asset(services=list(services))
    return check_fetchable(asset, asset.services[0], "algorithm.serviceId", own=own, ours=set(ours), main=main)


def access(number: int, endpoint: str) -> dict[str, Any]:
    return a_service(id=str(number), type="access", serviceEndpoint=endpoint)


def test_an_access_service_may_be_elsewhere() -> None:
    assert fetchable(access(1, "https://other.example/")) == "https://other.example"


@pytest.mark.parametrize(
    ("services", "main", "reason"),
    [
        ([access(1, "https://other.example")], True, "compute_services_not_in_same_provider"),
        ([a_service(serviceEndpoint="https://other.example")], False, "compute_services_not_in_same_provider"),
        ([access(1, "https://own.example/")], False, "compute_services_not_in_same_provider"),
        ([access(1, "http://OWN.example")], False, "compute_services_not_in_same_provider"),
        ([access(1, "")], False, "service_endpoint_invalid"),
        ([access(1, "https://other.example/?a=1")], False, "service_endpoint_invalid"),
        ([access(1, "https://a.example"), access(2, "https://b.example")], False, "services_at_several_providers"),
    ],
)
def test_what_may_not_be_elsewhere(services: list[dict[str, Any]], reason: str, *, main: bool) -> None:
    with pytest.raises(Refused) as caught:
        fetchable(*services, main=main)
    assert (caught.value.field, caught.value.reason) == ("algorithm.serviceId", reason)
    assert "example" not in str(caught.value.hint)


def test_other_services_of_the_asset_may_be_there_too_or_here_or_give_nothing_away() -> None:
    first = access(1, "https://other.example")
    assert fetchable(first, access(2, "https://other.example/"))
    assert fetchable(first, access(2, "https://wherever.example"), ours="2")
    assert fetchable(first, a_service(id="2", serviceEndpoint="https://third.example"))


@given(clock=WHOLE, last=WHOLE, told=WHOLE)
def test_a_nonce_is_greater_than_all_before_and_near_the_clock(clock: int, last: int, told: int) -> None:
    nonce = next_nonce(clock, last, told)
    if told > clock + NONCE_SKEW:
        assert nonce is None
    else:
        assert nonce is not None
        assert nonce > max(last, told)
        assert clock <= nonce <= max(clock, last + 1, clock + NONCE_SKEW + 1)


@given(st.lists(st.integers(0, 10**WHOLE_DIGITS), max_size=30))
def test_nobody_moves_our_nonces_away(told: list[int]) -> None:
    last = 0
    for claim in told:
        nonce = next_nonce(NOW, last, claim)
        last = last if nonce is None else nonce
    assert last <= NOW + NONCE_SKEW + 1 + len(told)


@given(did=st.text("0123456789abcdef", min_size=64, max_size=64), nonce=WHOLE)
def test_what_is_signed_for_a_download_is_no_other_endpoints_text(did: str, nonce: int) -> None:
    text = messages.download(f"did:op:{did}", str(nonce))
    # Every other text begins with an address or a transaction, and neither with 0x nor without is that a DID.
    assert not text.startswith("0x")
    with pytest.raises(Invalid):
        messages.parse_address(text[:42], "consumerAddress")
    with pytest.raises(Invalid):
        messages.parse_tx(text[:64], "transactionId")
    # And of all ways to part it, one alone has a DID at its front.
    assert (messages.parse_did(text[:71]), text[71:]) == (f"did:op:{did}", str(nonce))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), st.text(max_size=10))
def test_a_download_is_asked_as_clients_ask(userdata: dict[str, str], service: str) -> None:
    given = json.dumps(userdata)
    file = PeerFile("https://other.example:8030/p", DID, service, "0x" + "1" * 64, 7, userdata=given)
    url = download_url(file, account=ACCOUNT, nonce=NOW, signature="0x5")
    assert (url.host, url.port, url.path) == ("other.example", 8030, "/p/api/services/download")
    asked = parse_qs(url.target.partition("?")[2], keep_blank_values=True)
    assert asked == {
        "fileIndex": ["7"], "documentId": [DID], "transferTxId": [file.order_tx], "serviceId": [service],
        "consumerAddress": [ACCOUNT], "nonce": [str(NOW)], "signature": ["0x5"],
        **({"userdata": [given]} if userdata else {}),
    }  # fmt: skip
    assert "0x5" not in repr((file, url))


def test_the_other_questions() -> None:
    assert nonce_url("http://o", ACCOUNT).target == f"/api/services/nonce?userAddress={ACCOUNT}"
    assert fileinfo_url("http://o/p").target == "/p/api/services/fileinfo"
    url = initialize_url("http://o", DID, "s", account=ACCOUNT, until=9, userdata="{}")
    asked = parse_qs(url.target.partition("?")[2])
    assert (asked["consumerAddress"], asked["validUntil"], asked["fileIndex"]) == ([ACCOUNT], ["9"], ["0"])


@pytest.mark.parametrize(
    ("told", "nonce"),
    [(None, 0), ("151", 151), (151, 151), ("1700000000000.5", 1700000000001), (1.5, 2), ("5.0", 5)],
)
def test_last_nonces(told: object, nonce: int) -> None:
    assert read_nonce({"nonce": told}) == nonce


@pytest.mark.parametrize("answer", [[], "5", None, {"nonce": "-1"}, {"nonce": "x"}, {"nonce": True}, {"nonce": [1]},
                                    {"nonce": float("nan")}, {"nonce": "1" * 41}, {"nonce": float("inf")}])  # fmt: skip
def test_what_is_no_nonce(answer: object) -> None:
    with pytest.raises(Invalid):
        read_nonce(answer)


def test_facts_of_files() -> None:
    told = {"index": 0, "valid": True, "contentLength": "12", "contentType": "text/csv", "filename": "a",
            "checksum": "AB" * 32}  # fmt: skip
    (facts,) = read_files([told])
    assert (facts.valid, facts.content_length, facts.filename, facts.checksum) == (True, 12, "a", "ab" * 32)
    (facts,) = read_files([{"valid": "yes", "contentLength": [], "checksum": "zz", "filename": {}}])
    assert (facts.valid, facts.content_length, facts.filename, facts.checksum) == (False, None, "", None)


@pytest.mark.parametrize("answer", [[], {}, "x", None, [1], [{}] * 1001, [{"index": 1}], [{"index": 0}, {"index": 0}]])
def test_what_are_no_facts(answer: object) -> None:
    with pytest.raises(Invalid):
        read_files(answer)


def test_a_fee() -> None:
    fee = read_fee({"providerFee": FEE})
    assert (fee.amount, fee.provider_data, fee.v, fee.s) == (12, b"{}", 27, bytes(31) + b"\x0b")
    assert read_fee({"providerFee": {**FEE, "providerFeeAmount": 12}}) == fee


@pytest.mark.parametrize(
    "change",
    [{"v": 1}, {"v": "27"}, {"r": "0x"}, {"s": "0x" + "1" * 65}, {"providerFeeAmount": "-1"}, {"validUntil": -1},
     {"providerFeeAmount": 1.5}, {"providerFeeAddress": "0x1"}, {"providerData": "0x1"}, {"validUntil": 2**60},
     {"providerFeeToken": None}, {"r": "12"}, {"providerFeeAmount": "9" * 79}],
)  # fmt: skip
def test_what_is_no_fee(change: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        read_fee({"providerFee": {**FEE, **change}})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["nonce", "providerFee", "index", "valid", "filename", *FEE]), inner)))  # fmt: skip
def test_any_answer_is_read_or_is_none(answer: object) -> None:
    for read in (read_nonce, read_files, read_fee):
        try:
            read(answer)
        except Invalid:
            continue
