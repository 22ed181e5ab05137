from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import DATATOKEN, DID, NFT, OWNER, a_document, a_service, an_asset

from cove.core.asset import TrustedAlgorithm
from cove.core.ddo import did_of, parse, public_document, served_document
from cove.core.errors import Invalid

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
ALGORITHM = {
    "type": "algorithm",
    "name": "Sum",
    "algorithm": {
        "language": "python",
        "version": "1",
        "container": {"entrypoint": "python3 $ALGO", "image": "python", "tag": "3", "checksum": "sha256:aa"},
    },
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, part in below for deeper in paths(part, (*path, key)))]


def test_what_cove_needs_is_read() -> None:
    asset = an_asset(credentials={"allow": [], "deny": [{"type": "address", "values": [OWNER.upper()]}]})
    assert (asset.did, asset.chain_id, asset.nft, asset.type, asset.name) == (DID, 8996, NFT, "dataset", "Weather")
    assert (asset.publisher, asset.state, asset.algorithm) == (OWNER, 0, None)
    assert asset.credentials.allow is None
    assert asset.credentials.deny == {OWNER.lower()}
    service = asset.service("1")
    assert service is not None
    assert (service.index, service.datatoken, service.files, service.timeout) == (0, DATATOKEN, "0x04ab", 3600)
    assert service.compute is not None
    assert (service.compute.allow_raw_algorithm, service.compute.allow_network_access) == (False, True)
    assert (service.compute.trusted_publishers, service.compute.trusted_algorithms) == ((), ())
    assert json.loads(asset.document) == a_document(credentials=json.loads(asset.document)["credentials"])


def test_an_algorithm_has_its_container() -> None:
    asset = an_asset(metadata=ALGORITHM, services=[a_service(type="access", compute=None)])
    assert asset.algorithm is not None
    assert (asset.algorithm.image, asset.algorithm.tag, asset.algorithm.entrypoint) == ("python", "3", "python3 $ALGO")
    assert asset.services[0].compute is None


def test_trusted_lists_are_read_in_every_form() -> None:
    compute = {
        "publisherTrustedAlgorithmPublishers": None,
        "publisherTrustedAlgorithms": [{"did": "a", "filesChecksum": "f", "containerSectionChecksum": "c"}, "*", {}],
    }
    terms = an_asset(services=[a_service(compute=compute)]).services[0].compute
    assert terms is not None
    assert terms.trusted_publishers is None
    assert terms.trusted_algorithms == (TrustedAlgorithm("a", "f", "c"), TrustedAlgorithm("*"), TrustedAlgorithm(""))


def test_a_rule_of_unknown_kind_lets_nobody_in() -> None:
    assert an_asset(credentials={"allow": [{"type": "SSIpolicy", "values": []}]}).credentials.allow == frozenset()
    assert an_asset(credentials={"allow": [{"type": "address", "values": []}]}).credentials.allow is None


def test_unknown_services_keep_the_numbers_of_the_others() -> None:
    other = {"id": "x", "type": "streaming", "datatokenAddress": DATATOKEN}
    asset = an_asset(services=[other, a_service()])
    assert [service.index for service in asset.services] == [0, 1]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "did:op:1"}, "id"),
        ({"version": "5.0.0"}, "version"),
        ({"version": 4}, "version"),
        ({"chainId": "8996"}, "chainId"),
        ({"chainId": True}, "chainId"),
        ({"nftAddress": None}, "nftAddress"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"type": "movie"}}, "metadata.type"),
        ({"metadata": {"type": "algorithm"}}, "metadata.algorithm"),
        ({"services": []}, "services"),
        ({"services": [a_service(), a_service()]}, "services"),
        ({"services": [a_service(id=1)]}, "services[0].id"),
        ({"services": [a_service(files=[{"type": "url", "url": "http://clear"}])]}, "services[0].files"),
        ({"services": [a_service(files="0x")]}, "services[0].files"),
        ({"services": [a_service(timeout=-1)]}, "services[0].timeout"),
        ({"services": [a_service(timeout=None)]}, "services[0].timeout"),
        ({"services": [a_service(compute=None)]}, "services[0].compute"),
        ({"services": [a_service(compute={"allowRawAlgorithm": "true"})]}, "services[0].compute.allowRawAlgorithm"),
        (
            {"services": [a_service(compute={"publisherTrustedAlgorithms": [{"did": 5}]})]},
            "services[0].compute.publisherTrustedAlgorithms[0].did",
        ),
        ({"credentials": {"deny": [{"type": "address", "values": "0x1"}]}}, "credentials.deny[0].values"),
        ({"metadata": {"type": "dataset", "name": "\ud800"}}, "ddo"),
        ({"metadata": {"type": "dataset", "size": float("nan")}}, "ddo"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(a_document(**change), publisher=OWNER, state=0)
    assert list(caught.value.errors) == [field]


@given(st.data(), JSON)
def test_no_json_anywhere_breaks_it(data: st.DataObject, hostile: object) -> None:
    document: Any = copy.deepcopy(a_document(credentials={"allow": [], "deny": []}, extra=[{"a": 1}]))
    path = data.draw(st.sampled_from([path for path in paths(document) if path]))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = hostile
    try:
        asset = parse(document, publisher=OWNER, state=0)
    except Invalid as problem:
        assert problem.errors
        return
    assert json.loads(public_document(asset))["id"] == asset.did


@given(st.dictionaries(st.text(), JSON))
def test_no_object_breaks_it(document: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        parse(document, publisher=OWNER, state=0)


def test_deep_nesting_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid):
        parse(a_document(extra=deep), publisher=OWNER, state=0)


def test_the_public_document_is_complete_for_strict_readers() -> None:
    metadata = a_document()["metadata"] | {"additionalInformation": {"a": 1}, "tags": None}
    asset = an_asset(metadata=metadata, services=[a_service(additionalInformation={"b": 2}, secretField="x")], more=1)
    public = json.loads(public_document(asset))
    assert set(public) == {
        "@context", "id", "version", "chainId", "nftAddress", "metadata", "services", "credentials", "datatokens",
        "event", "nft", "stats", "purgatory",
    }  # fmt: skip
    assert "additionalInformation" not in public["metadata"]
    assert "tags" not in public["metadata"]
    assert "additionalInformation" not in public["services"][0]
    assert "secretField" not in public["services"][0]
    assert public["services"][0]["files"] == "0x04ab"
    assert public["nft"]["owner"] == OWNER
    assert public["credentials"] == {"allow": [], "deny": []}
    assert "null" not in public_document(asset)


def test_what_a_cache_added_stays() -> None:
    event = {"tx": "0x1", "block": 7, "from": "0x2", "contract": "0x3", "datetime": "t"}
    public = json.loads(public_document(an_asset(event=event, nft={"name": "N", "owner": None})))
    assert public["event"] == event
    assert (public["nft"]["name"], public["nft"]["owner"]) == ("N", OWNER)


def test_what_a_publisher_claims_of_the_chain_gives_way_to_its_facts() -> None:
    claims = {"event": {"tx": "0x1"}, "nft": {"owner": NFT, "state": 0}, "stats": {"orders": 9}, "datatokens": []}
    asset = replace(an_asset(**claims), metadata_tx="0x2", state=3)
    for document in (public_document(asset), served_document(asset)):
        seen = json.loads(document)
        assert (seen["event"]["tx"], seen["nft"]["owner"], seen["nft"]["state"]) == ("0x2", OWNER, 3)
        assert [token["address"] for token in seen["datatokens"]] == [DATATOKEN]
        assert seen.get("stats") != claims["stats"]
    assert served_document(an_asset(**claims)) == an_asset(**claims).document


def test_a_text_of_further_information_stays() -> None:
    metadata = a_document()["metadata"] | {"additionalInformation": "text"}
    assert json.loads(public_document(an_asset(metadata=metadata)))["metadata"]["additionalInformation"] == "text"


def test_the_did_is_that_of_the_nft_and_the_chain() -> None:
    digest = hashlib.sha256(b"0xBB1081DbF3227bbB233Db68f7117114baBb43656137").hexdigest()
    assert did_of("0xBB1081DbF3227bbB233Db68f7117114baBb43656", 137) == f"did:op:{digest}"
