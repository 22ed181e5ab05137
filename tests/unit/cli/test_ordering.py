"""What ``cove order`` asks for when an earlier run of it placed something already."""

from __future__ import annotations

from typing import Any, cast

from cove.cli.ordering import _Before, _item, _Place
from cove.wire import Environment, InitializedItem

HERE = "0x" + "1" * 40
FIRST, NEWEST = "0x" + "a" * 64, "0x" + "b" * 64
FEE = {
    "providerFeeAddress": HERE, "providerFeeToken": HERE, "providerFeeAmount": "7", "providerData": "0x00",
    "v": 27, "r": "0x00", "s": "0x00", "validUntil": 9,
}  # fmt: skip


def item(valid_order: str | None, before: _Before) -> Any:
    environment = cast("Environment", Environment.model_construct(consumerAddress=HERE))
    quote = InitializedItem.model_validate({"datatoken": HERE, "providerFee": FEE, "validOrder": valid_order})
    return _item(environment, _Place("dataset 0", "did:op:1", "0", 0), quote, before)


def test_a_second_reuse_points_to_the_order_and_has_a_step_of_its_own() -> None:
    first = item(FIRST, _Before(FIRST, FIRST))
    second = item(NEWEST, _Before(FIRST, NEWEST))
    assert (first.reuse, second.reuse) == (FIRST, FIRST)  # what reuses a reuse is taken for no order
    assert first.name != second.name


def test_what_was_not_ordered_is_ordered() -> None:
    assert item(None, _Before(None, None)).reuse == ""
