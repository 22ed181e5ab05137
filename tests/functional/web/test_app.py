"""What every path answers, whatever is sent to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cove import wire

if TYPE_CHECKING:
    from tests.functional.web.conftest import Consumer, Site

POSTS = ["compute", "initializeCompute", "decrypt", "fileinfo", "encrypt", "encrypt?chainId=8996"]


async def test_the_root_document_leads_to_every_endpoint(site: Site) -> None:
    root = (await site.http.get("/")).json()
    wire.Root.model_validate(root)
    assert root["providerAddresses"] == {"8996": site.cove.vault.address}
    for method, path in root["serviceEndpoints"].values():
        assert (await site.http.request(method, path)).status_code not in {404, 405, 500}


async def test_two_slashes_are_one(site: Site) -> None:
    assert (await site.http.get("http://cove.example//api/services/computeEnvironments")).status_code == 200


async def test_health_answers_at_once(site: Site) -> None:
    answer = await site.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize("path", ["/none", "/api/services/compute/", "/api/services/computeLog", "/api/services/%00"])
async def test_an_unknown_path_is_said_in_json(site: Site, path: str) -> None:
    answer = await site.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_wrong_method_is_said_in_json(site: Site) -> None:
    answer = await site.http.patch("/api/services/compute")
    assert (answer.status_code, answer.json()["context"]) == (405, "/api/services/compute")


async def test_a_large_body_is_refused(site: Site) -> None:
    for path in POSTS:
        headers = {"content-type": "application/octet-stream"} if path.startswith("encrypt") else None
        answer = await site.http.post(f"/api/services/{path}", content=b" " * 100_001, headers=headers)
        assert answer.status_code == (400 if path == "encrypt" else 413)
        assert answer.json()["error" if answer.status_code == 413 else "errors"]


async def test_browsers_of_other_sites_may_call(site: Site) -> None:
    headers = {"origin": "https://market.example", "access-control-request-method": "DELETE"}
    answer = await site.http.options("/api/services/compute", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    failed = await site.http.get("/api/services/compute", headers={"origin": "https://market.example"})
    assert (failed.status_code, failed.headers["access-control-allow-origin"]) == (400, "*")


async def test_the_documentation_is_whole_and_needs_nobody(site: Site) -> None:
    document = (await site.http.get("/api/openapi.json")).json()
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(wire.SERVICE_ENDPOINTS.values()) <= listed
    page = (await site.http.get("/api/docs")).text
    assert not re.search(r"https?://", page)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for entry in value.values():
            yield from _references(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _references(entry)


async def test_what_was_encrypted_is_the_providers_to_open(site: Site) -> None:
    headers = {"content-type": "application/octet-stream"}
    answer = await site.http.post("/api/services/encrypt?chainId=8996", content=b"secret", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/plain; charset=utf-8")
    assert site.cove.vault.decrypt(bytes.fromhex(answer.text.removeprefix("0x"))) == b"secret"
    for path, kind in (("encrypt?chainId=1", headers), ("encrypt", headers), ("encrypt?chainId=8996", {})):
        assert (await site.http.post(f"/api/services/{path}", content=b"x", headers=kind)).status_code == 400


async def test_decrypt_proves_the_caller_first(site: Site, alice: Consumer) -> None:
    fields = {
        "decrypterAddress": alice.account.address,
        "chainId": 8996,
        "dataNftAddress": "0x" + "5" * 40,
        "transactionId": "0x" + "6" * 64,
        "nonce": 1,
    }
    text = f"{fields['transactionId']}{alice.account.address}89961"
    wrong = {**fields, "signature": alice.account.sign_text(text + "0")}
    assert (await site.http.post("/api/services/decrypt", json=wrong)).status_code == 400
    right = {**fields, "signature": alice.account.sign_text(text)}
    answer = await site.http.post("/api/services/decrypt", data=right)
    assert answer.status_code == 503
    assert await site.cove.nonces.last(alice.account.address) == "1"


async def test_a_file_of_the_host_is_not_looked_at_for_strangers(site: Site) -> None:
    body = {"type": "local", "root": "data", "path": "x"}
    answer = await site.http.post("/api/services/fileinfo", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["type"])


@pytest.mark.parametrize(("did", "status"), [("did:op:1", 400), ("did:op:" + "3" * 64, 503)])
async def test_a_document_that_cannot_be_had_says_why(site: Site, did: str, status: int) -> None:
    answer = await site.http.get(f"/api/aquarius/assets/ddo/{did}")
    assert answer.status_code == status
    assert answer.json()["code"] in {"validation_error", "unavailable"}


NAMES = st.sampled_from([
    *wire.StartCompute.model_fields, *wire.InitializeCompute.model_fields, *wire.DecryptRequest.model_fields,
    *wire.DatasetRef.model_fields, *wire.AlgorithmMeta.model_fields, "did", "type", "url", "method", "headers",
    "checksum", "files",
])  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["0x" + "1" * 40, "0x" + "0" * 130, "1", "default", "url", "local", "{}", "[" * 5000, "\ud800"]),
)
BODIES = st.dictionaries(
    NAMES,
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6)),
    max_size=9,
)


@given(path=st.sampled_from(POSTS), body=BODIES | VALUES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_body_is_our_fault(site: Site, path: str, body: Any) -> None:
    kind = "application/octet-stream" if path.startswith("encrypt") else "application/json"
    answer = await site.http.post(
        f"/api/services/{path}", content=json.dumps(body).encode(), headers={"content-type": kind}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code != 201:
        assert isinstance(answer.json(), dict | list)
