"""Who may use an environment, which images it runs, and how long jobs may wait there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from tests.support.jobs import ALICE, BOB, ENVIRONMENT

from cove.core.environment import Access, HeldToken

CONTRACT = "0x" + "c" * 40


def test_the_contract_is_asked_in_its_own_words() -> None:
    plain = HeldToken(1, CONTRACT)
    assert plain.question(ALICE) == keccak(b"balanceOf(address)")[:4] + encode(["address"], [ALICE])
    several = HeldToken(1, CONTRACT, 2**256 - 1)
    asked = keccak(b"balanceOf(address,uint256)")[:4] + encode(["address", "uint256"], [ALICE, 2**256 - 1])
    assert several.question(ALICE) == asked


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (None, False),
        (b"", False),
        (bytes(32), False),
        (bytes(31) + b"\1", True),
        (b"\xff" * 32, True),
        (b"\1", False),
        (bytes(31) + b"\1" + bytes(32), False),
    ],
)
def test_a_balance_above_zero_holds(answer: bytes | None, *, held: bool) -> None:
    assert HeldToken(1, CONTRACT).is_held(answer) is held


def test_without_entries_everybody_may() -> None:
    assert Access().is_open()
    assert not Access((ALICE,)).is_open()
    assert not Access(tokens=(HeldToken(1, CONTRACT),)).is_open()
    assert Access((ALICE,)).lists(ALICE.lower())
    assert not Access((ALICE,)).lists(BOB)


def test_the_shorter_wait_counts() -> None:
    endless, bounded = ENVIRONMENT, replace(ENVIRONMENT, max_queue_wait=60)
    assert (endless.wait_seconds(None), endless.wait_seconds(5)) == (None, 5)
    assert (bounded.wait_seconds(None), bounded.wait_seconds(5), bounded.wait_seconds(500)) == (60, 5, 60)


def test_an_image_may_be_used_by_name_and_digest() -> None:
    strict = replace(ENVIRONMENT, images=("cove/host", "other/tool"), image_patterns=("cove/*",), digests_only=True)
    digest = "sha256:" + "ab" * 32
    assert strict.may_use("cove/host:1", digest)
    assert not strict.may_use("cove/host:1", "")
    assert not strict.may_use("other/tool", digest)
    assert strict.offered_images == ("cove/host",)
    assert ENVIRONMENT.may_use("anything", "")
