from __future__ import annotations

from typing import Any

import pytest

from cove.core.contractcall import ContractFunction, Parameter, parse_function
from cove.core.errors import Invalid

ITEM: dict[str, Any] = {
    "type": "function",
    "name": "rows",
    "stateMutability": "view",
    "inputs": [{"name": "who", "type": "address"}, {"type": "uint"}],
    "outputs": [{"name": "", "type": "uint8"}],
}


def _with(**parameter: object) -> dict[str, Any]:
    return ITEM | {"outputs": [parameter]}


def test_a_function_is_read() -> None:
    function = parse_function(ITEM, "abi")
    inputs = (Parameter("who", "address", "address"), Parameter("1", "int", "uint256"))
    assert function == ContractFunction("rows", inputs, (Parameter("0", "int", "uint8"),))
    assert function.signature == "rows(address,uint256)"
    assert parse_function({"name": "f", "stateMutability": "pure", "outputs": [{"type": "int"}]}, "abi").inputs == ()


def test_tuples_and_arrays_have_canonical_types() -> None:
    members = [{"name": "at", "type": "int"}, {"name": "all", "type": "bytes32[][3]"}]
    (found,) = parse_function(_with(name="x", type="tuple[2][]", components=members), "abi").outputs
    assert (found.base, found.type, found.dimensions) == ("tuple", "(int256,bytes32[][3])[2][]", (2, None))
    assert found.members[1].dimensions == (None, 3)


@pytest.mark.parametrize("mutability", ["nonpayable", "payable", None, "", ["view"], "View"])
def test_what_may_change_the_chain_is_refused(mutability: object) -> None:
    with pytest.raises(Invalid) as caught:
        parse_function(ITEM | {"stateMutability": mutability}, "abi")
    assert list(caught.value.errors) == ["abi.stateMutability"]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (None, "abi"),
        ([ITEM], "abi"),
        (ITEM | {"type": "event"}, "abi.type"),
        (ITEM | {"name": "rows(address)"}, "abi.name"),
        (ITEM | {"name": None}, "abi.name"),
        (ITEM | {"outputs": []}, "abi.outputs"),
        (ITEM | {"outputs": None}, "abi.outputs"),
        (ITEM | {"inputs": "address"}, "abi.inputs"),
        (ITEM | {"inputs": [ITEM] * 65}, "abi.inputs"),
        *((_with(type=kind), "abi.outputs[0].type") for kind in (
            None, "", "uint7", "uint264", "uint0", "uint08", "int512", "bytes0", "bytes33", "bool8", "string1", "fixed",
            "fixed128x18", "function", "address payable", "uint8[0]", "uint8[", "uint8[-1]", "uint8[][][][][]",
            "uint8[99999]", "tuple1", "(uint8)", "uint٨",
        )),
        (_with(type="tuple"), "abi.outputs[0].components"),
        (_with(type="tuple", components=[]), "abi.outputs[0].components"),
        (_with(type="tuple", components=[{"type": "x" * 9}]), "abi.outputs[0].components[0].type"),
    ],
)  # fmt: skip
def test_what_is_no_function_is_named(item: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_function(item, "abi")
    assert list(caught.value.errors) == [field]


def test_depth_is_bounded() -> None:
    deep: dict[str, Any] = {"type": "uint8"}
    for _ in range(5000):
        deep = {"type": "tuple", "components": [deep]}
    with pytest.raises(Invalid):
        parse_function(ITEM | {"outputs": [deep]}, "abi")
