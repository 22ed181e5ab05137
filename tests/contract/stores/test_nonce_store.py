from __future__ import annotations

import asyncio
import random

import pytest

from cove.ports import NonceStore

ADDRESS = "0xA11ce00000000000000000000000000000000001"
OTHER = "0xB0b0000000000000000000000000000000000002"


async def test_an_address_without_a_nonce_has_none(nonces: NonceStore) -> None:
    for address in (ADDRESS, "", "\0", "\ud800", "x" * 100_000):
        assert await nonces.last(address) is None


@pytest.mark.parametrize(
    ("first", "then", "taken"),
    [
        ("1", "2", True),
        ("2", "1", False),
        ("1", "1", False),
        ("9", "10", True),
        ("10", "9", False),
        ("0", "0", False),
        ("5", "5.0", False),
        ("5", "05", False),
        ("5", "5.1", True),
        ("5.1", "5", False),
        ("5.5", "5.45", False),
        ("1700000000000", "1700000000000.5", True),
        ("1700000000000.5", "1700000000000500000", True),
        ("9007199254740992", "9007199254740993", True),
        ("1700000000000000001", "1700000000000000000", False),
        ("9" * 39, "1" + "0" * 39, True),
    ],
)
async def test_a_nonce_must_grow_as_a_number(nonces: NonceStore, first: str, then: str, *, taken: bool) -> None:
    assert await nonces.use(ADDRESS, first)
    assert await nonces.last(ADDRESS) == first
    assert await nonces.use(ADDRESS, then) is taken
    assert await nonces.last(ADDRESS) == (then if taken else first)


async def test_addresses_are_compared_by_value(nonces: NonceStore) -> None:
    assert await nonces.use(ADDRESS.lower(), "7")
    assert await nonces.last(ADDRESS) == await nonces.last(ADDRESS.upper().replace("0X", "0x")) == "7"
    assert not await nonces.use(ADDRESS, "7")
    assert await nonces.last(OTHER) is None
    assert await nonces.use(OTHER, "7")


async def test_a_nonce_is_taken_once_however_many_ask_at_once(nonces: NonceStore) -> None:
    answers = await asyncio.gather(*(nonces.use(ADDRESS, "42.0") for _ in range(40)))
    assert answers.count(True) == 1


async def test_the_last_nonce_is_the_greatest_in_whatever_order_they_come(nonces: NonceStore) -> None:
    asked = [str(number) for number in range(60)]
    random.Random(7).shuffle(asked)  # noqa: S311 - no secret
    answers = await asyncio.gather(*(nonces.use(ADDRESS, nonce) for nonce in asked))
    taken = [nonce for nonce, answer in zip(asked, answers, strict=True) if answer]
    assert await nonces.last(ADDRESS) == "59"
    assert "59" in taken


async def test_what_is_no_nonce_is_never_taken(nonces: NonceStore) -> None:
    for text in ("", "-1", "1e3", "1.", ".5", "NaN", "1" * 41, "0." + "1" * 21, "\u0661", "1\n"):
        with pytest.raises(ValueError, match="nonce"):
            await nonces.use(ADDRESS, text)
    assert await nonces.last(ADDRESS) is None
