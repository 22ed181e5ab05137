"""Views of real contracts, on the chain in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from eth_abi import grammar
from eth_abi.abi import encode
from eth_abi.registry import registry
from tests.chain import Ocean

from cove.client.market import token_balance
from cove.core.errors import DataMissing
from cove.core.filelist import parse_file
from cove.core.files import ContractFile
from cove.crypto.keys import keccak
from cove.ledgers.blocking import blocking_calls
from cove.sources.smartcontract import ContractSource

ECHO = bytes.fromhex("6004360380600460003760" + "00f3")
"""Returns its arguments: CALLDATACOPY(0, 4, size - 4), RETURN(0, size - 4)."""
SOMEBODY = "0x52908400098527886E0F7030069857D2E4169EE7"


def asking(
    to: str, name: str, outputs: list[Any], inputs: list[Any] | None = None, userdata: Any = None
) -> ContractFile:
    abi = {"type": "function", "name": name, "stateMutability": "view", "inputs": inputs or [], "outputs": outputs}
    file = parse_file({"type": "smartcontract", "chainId": 8996, "address": to, "abi": abi}, "file")
    assert isinstance(file, ContractFile)
    return ContractFile(file.chain_id, file.address, file.function, json.dumps(userdata or {}))


def source_of(ocean: Ocean) -> ContractSource:
    calls = blocking_calls({8996: ocean.ledger()}, asyncio.get_running_loop(), seconds=20)
    return ContractSource(calls, keccak)


async def value_of(source: ContractSource, file: ContractFile) -> Any:
    def read() -> Any:
        with contextlib.closing(source.open(file)) as reader:
            buffer = memoryview(bytearray(reader.length or 0))
            assert reader.readinto(buffer) == reader.length
            return json.loads(bytes(buffer))

    return await asyncio.to_thread(read)


async def deploy_echo(ocean: Ocean) -> str:
    init = bytes([0x5F + len(ECHO)]) + ECHO + bytes.fromhex(f"60005260{len(ECHO):02x}60{32 - len(ECHO):02x}f3")
    return await ocean.stranger.deploy(init, "()", [])


async def test_views_of_oceans_contracts(ocean: Ocean) -> None:
    asset = await ocean.publish()
    source = source_of(ocean)
    token = ocean.addresses.fee_token
    assert await value_of(source, asking(token, "decimals", [{"type": "uint8"}])) == 18
    balance = asking(
        token,
        "balanceOf",
        [{"name": "", "type": "uint256"}],
        [{"name": "who", "type": "address"}],
        {"who": ocean.consumer.address, "more": 1},
    )
    owned = await token_balance(ocean.consumer, token)
    assert owned > 2**64
    assert await value_of(source, balance) == owned
    facts = await asyncio.to_thread(source.info, balance)
    assert (facts.valid, facts.type, facts.content_length) == (True, "smartcontract", len(str(owned)))
    outputs = [{"type": "string"}, {"type": "string"}, {"type": "uint8"}, {"type": "bool"}]
    assert (await value_of(source, asking(asset.nft, "getMetaData", outputs)))[2:] == [0, True]
    listed = asking(
        ocean.addresses.factory, "erc721List", [{"type": "address"}], [{"type": "address"}], {"0": asset.nft}
    )
    assert await value_of(source, listed) == asset.nft


@pytest.mark.parametrize(
    ("parameter", "given", "value"),
    [
        ({"type": "uint256"}, 2**256 - 1, 2**256 - 1),
        ({"type": "uint256"}, str(2**255), 2**255),
        ({"type": "uint256"}, "0xff", 255),
        ({"type": "int8"}, -128, -128),
        ({"type": "bool"}, True, True),
        ({"type": "address"}, SOMEBODY.lower(), SOMEBODY),
        ({"type": "string"}, "é\n\0", "é\n\0"),
        ({"type": "bytes"}, "0x", "0x"),
        ({"type": "bytes3"}, "0x0aBBcc", "0x0abbcc"),
        ({"type": "string[]"}, [], []),
        ({"type": "uint8[2][]"}, [[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]),
        ({"type": "bytes[][1]"}, [["0x01", "0x"]], [["0x01", "0x"]]),
        (
            {"type": "tuple[]", "components": [{"name": "a", "type": "uint8"}, {"name": "b", "type": "string[]"}]},
            [{"b": ["x"], "a": 1}, [2, []]],
            [[1, ["x"]], [2, []]],
        ),
        (
            {"type": "tuple", "components": [{"type": "tuple", "components": [{"type": "tuple", "components": [{"type": "address"}]}]}]},
            [[[SOMEBODY]]],
            [[[SOMEBODY]]],
        ),
    ],
)  # fmt: skip
async def test_values_go_there_and_back(ocean: Ocean, parameter: dict[str, Any], given: Any, value: Any) -> None:
    to = await deploy_echo(ocean)
    file = asking(to, "echo", [parameter], [parameter | {"name": "it"}], {"it": given})
    assert await value_of(source_of(ocean), file) == value
    both = asking(to, "echo", [parameter] * 2, [parameter] * 2, {"0": given, "1": given})
    assert await value_of(source_of(ocean), both) == [value, value]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("uint8", {}), ("uint8", {"it": 256}), ("uint8", {"it": -1}), ("uint8", {"it": True}), ("uint8", {"it": 1.0}),
        ("uint8", {"it": "s3cret"}), ("uint8", {"it": None}), ("uint256", {"it": "1" * 9999}), ("bool", {"it": 1}),
        ("address", {"it": "0x1"}), ("address", {"it": 5}), ("bytes", {"it": "00"}),
        ("bytes", {"it": "0x0"}), ("bytes2", {"it": "0x010203"}), ("string", {"it": 5}), ("string", {"it": "\ud800"}),
        ("uint8[]", {"it": 5}), ("uint8[]", {"it": "12"}), ("uint8[2]", {"it": [1]}), ("uint8[]", {"it": {"0": 1}}),
        ("tuple", {"it": [1]}), ("tuple", {"it": {"a": 1}}), ("tuple", {"it": "ab"}),
    ],
)  # fmt: skip
def test_arguments_of_another_type_are_not_sent(kind: str, given: Any) -> None:
    def call(chain_id: int, to: str, data: bytes) -> bytes:
        raise AssertionError

    members = [{"name": "a", "type": "uint8"}, {"name": "b", "type": "uint8"}]
    parameter = {"name": "it", "type": kind} | ({"components": members} if kind == "tuple" else {})
    file = asking(SOMEBODY, "echo", [{"type": "bool"}], [parameter], given)
    assert not ContractSource(call, keccak).info(file).valid
    with pytest.raises(DataMissing, match="argument") as caught:
        ContractSource(call, keccak).open(file)
    assert caught.value.__suppress_context__
    assert "s3cret" not in str(caught.value)


async def test_calls_that_fail(ocean: Ocean) -> None:
    source = source_of(ocean)
    whole = [{"type": "uint8"}]
    for to, name, text in (
        (ocean.addresses.fee_token, "noSuchFunction", "refused"),
        (ocean.stranger.address, "decimals", "not what its function's description says"),
        (ocean.addresses.fee_token, "totalSupply", "not what its function's description says"),
    ):
        file = asking(to, name, whole)
        with pytest.raises(DataMissing, match=text):
            await asyncio.to_thread(source.open, file)
        assert not (await asyncio.to_thread(source.info, file)).valid
    elsewhere = asking(ocean.addresses.fee_token, "decimals", whole)
    other = ContractFile(1, elsewhere.address, elsewhere.function)
    with pytest.raises(DataMissing, match="does not read the contract's chain"):
        await asyncio.to_thread(source.open, other)


@pytest.mark.parametrize("dimensions", ["[][]", "[][][]", "[][][][]"])
def test_a_result_that_unfolds_without_end_is_refused(dimensions: str) -> None:
    """Every entry of each list points to one and the same list below it."""
    width = 5_000
    levels = dimensions.count("[")
    data = (32).to_bytes(32)
    for _ in range(levels - 1):
        data += width.to_bytes(32) + (32 * width).to_bytes(32) * width
    data += width.to_bytes(32) + bytes(32) * width
    file = asking(SOMEBODY, "bomb", [{"type": f"uint8{dimensions}"}])
    with pytest.raises(DataMissing, match="not what its function's description says"):
        ContractSource(lambda *_: data, keccak).open(file)


def test_types_are_not_kept() -> None:
    kept = registry.get_decoder.cache_info().currsize, registry.get_tuple_decoder.cache_info().currsize
    parse = grammar.parse.cache_info().currsize
    for length in range(1, 50):
        kind = {"type": f"uint8[{length}][7]", "name": "it"}
        file = asking(SOMEBODY, "f", [kind, {"type": "tuple[]", "components": [kind]}], [], {})
        assert not ContractSource(lambda *_: b"", keccak).info(file).valid
    assert registry.get_decoder.cache_info().currsize <= kept[0] + 1
    assert registry.get_tuple_decoder.cache_info().currsize == kept[1]
    assert grammar.parse.cache_info().currsize <= parse + 1


def test_a_result_has_a_largest_size() -> None:
    data = encode(["bytes"], [b"x" * 1000])
    file = asking(SOMEBODY, "all", [{"type": "bytes"}])
    assert ContractSource(lambda *_: data, keccak, max_bytes=len(data)).info(file).content_length == 2004
    with pytest.raises(DataMissing, match="larger"):
        ContractSource(lambda *_: data, keccak, max_bytes=len(data) - 1).open(file)
