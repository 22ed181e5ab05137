"""The hard-coded signatures against the contracts that were published, and decoding of hostile logs."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import pytest
from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from cove.ledgers import abi

EVENTS = {
    "ERC20Template": (abi.ORDER_STARTED, abi.ORDER_REUSED, abi.PROVIDER_FEE, abi.TRANSFER),
    "ERC20TemplateEnterprise": (abi.ORDER_STARTED, abi.ORDER_REUSED, abi.PROVIDER_FEE, abi.TRANSFER),
    "ERC721Template": (abi.METADATA_CREATED, abi.METADATA_UPDATED),
}
CALLS = {
    "ERC721Factory": (abi.ERC721_LIST,),
    "ERC721Template": (abi.OWNER_OF, abi.GET_METADATA, abi.IS_DEPLOYED),
    "MockOcean": (abi.DECIMALS,),
}


def artifact(name: str, kind: str) -> dict[str, Any]:
    pytest.importorskip("artifacts", reason="needs: pip install ocean-contracts")
    content = json.loads((importlib.resources.files("artifacts") / f"{name}.json").read_bytes())
    return {entry["name"]: entry for entry in content["abi"] if entry["type"] == kind}


@pytest.mark.parametrize(("contract", "event"), [(name, event) for name in EVENTS for event in EVENTS[name]])
def test_events_are_those_of_the_contracts(contract: str, event: abi.Event) -> None:
    inputs = artifact(contract, "event")[event.name]["inputs"]
    assert [(kind, indexed) for _, kind, indexed in event.fields] == [(i["type"], i["indexed"]) for i in inputs]
    assert event.topic == "0x" + keccak(event.signature.encode()).hex()


@pytest.mark.parametrize(("contract", "call"), [(name, call) for name in CALLS for call in CALLS[name]])
def test_calls_are_those_of_the_contracts(contract: str, call: abi.Call) -> None:
    function = artifact(contract, "function")[call.name]
    assert [i["type"] for i in function["inputs"]] == list(call.inputs)
    assert [o["type"] for o in function["outputs"]] == list(call.outputs)


def test_known_hashes() -> None:
    assert abi.TRANSFER.topic == "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert abi.IS_VALID_SIGNATURE.selector.hex() == "1626ba7e"


def topic(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


def test_a_log_is_read() -> None:
    one, two = "0x" + "a" * 40, "0x" + "b" * 40
    log = {"topics": [abi.TRANSFER.topic, topic(one), topic(two)], "data": "0x" + encode(["uint256"], [7]).hex()}
    assert abi.TRANSFER.read(log) == {"from": abi.checksum(one), "to": abi.checksum(two), "value": 7}


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    st.binary(max_size=600),
    st.sampled_from([event for events in EVENTS.values() for event in events]),
)
def test_no_data_makes_reading_fail(topics: list[bytes], data: bytes, event: abi.Event) -> None:
    log = {"topics": [event.topic, *("0x" + raw.hex() for raw in topics)], "data": "0x" + data.hex()}
    found = event.read(log)
    assert found is None or set(found) == {name for name, _, _ in event.fields}


WORDS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=20, max_size=20).map(lambda raw: raw.rjust(32, b"\0")),
    st.integers(0, 300).map(lambda number: number.to_bytes(32)),
)


@given(
    st.lists(WORDS, max_size=3),
    st.lists(WORDS, max_size=9).map(b"".join),
    st.binary(max_size=3),
    st.sampled_from([event for events in EVENTS.values() for event in events]),
)
def test_logs_are_read_as_the_codec_reads_them(words: list[bytes], data: bytes, rest: bytes, event: abi.Event) -> None:
    log = {"topics": [event.topic, *("0x" + word.hex() for word in words)], "data": "0x" + (data + rest).hex()}
    indexed = [(name, kind) for name, kind, is_indexed in event.fields if is_indexed]
    plain = [(name, kind) for name, kind, is_indexed in event.fields if not is_indexed]
    try:
        found = dict(zip([name for name, _ in plain], decode([kind for _, kind in plain], data + rest), strict=True))
        for (name, kind), word in zip(indexed, words, strict=True):
            (found[name],) = decode([kind], word)
    except (DecodingError, ValueError, OverflowError):
        assert event.read(log) is None
        return
    addresses = {name for name, kind, _ in event.fields if kind == "address"}
    assert event.read(log) == {
        name: abi.checksum(value) if name in addresses else value for name, value in found.items()
    }


ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())


@given(ADDRESSES, ADDRESSES, st.binary(max_size=200), st.data())
def test_a_fee_is_read_as_the_codec_reads_it_however_it_is_bent(
    one: str, two: str, told: bytes, data: st.DataObject
) -> None:
    kinds = [kind for _, kind, indexed in abi.PROVIDER_FEE.fields if not indexed]
    number = data.draw(st.integers(0, 2**256 - 1))
    content = bytearray(encode(kinds, [number, told, 28, b"r" * 32, b"s" * 32, 7]))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=2)):
        content[place] = data.draw(st.integers(0, 255))
    content = content[: len(content) - data.draw(st.sampled_from([0, 0, 0, 1, 32]))]
    content += bytes(data.draw(st.sampled_from([0, 0, 0, 1, 32])))
    log = {"topics": [abi.PROVIDER_FEE.topic, topic(one), topic(two)], "data": "0x" + content.hex()}
    found = abi.PROVIDER_FEE.read(log)
    try:
        values = decode(kinds, bytes(content))
    except (DecodingError, ValueError, OverflowError):
        assert found is None
        return
    assert found is not None
    assert (found["providerFeeAddress"], found["providerFeeToken"]) == (abi.checksum(one), abi.checksum(two))
    assert tuple(found[name] for name, _, indexed in abi.PROVIDER_FEE.fields if not indexed) == values


def test_a_length_that_is_not_there_is_refused_at_once() -> None:
    """An offset or a length of 2^255 must neither crash nor take memory."""
    huge = (2**255).to_bytes(32, "big")
    log = {"topics": [abi.METADATA_CREATED.topic, topic("0x" + "a" * 40)], "data": "0x" + (huge * 8).hex()}
    assert abi.METADATA_CREATED.read(log) is None


@pytest.mark.parametrize("value", [None, 5, "", "0x", "5", "0xzz", "0x" + "f" * 65, [], {}, "0x-1", "0x1_0"])
def test_what_is_no_quantity_is_refused(value: object) -> None:
    with pytest.raises(abi.BadAnswer):
        abi.quantity(value)


@pytest.mark.parametrize("value", [None, 5, "", "abc", "0xabc", "0xzz", []])
def test_what_is_no_data_is_refused(value: object) -> None:
    with pytest.raises(abi.BadAnswer):
        abi.raw(value)
    with pytest.raises(abi.BadAnswer):
        abi.raw("0x1234", 3)
