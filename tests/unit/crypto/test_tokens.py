from __future__ import annotations

import jwt
import pytest

from cove.core.errors import BadSignature
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.crypto.tokens import Tokens

ALICE = "0xA11ce00000000000000000000000000000000001"
TOKENS = Tokens(KeyVault(Account(b"\x01" * 32)))


def test_a_token_says_whose_it_is_and_until_when() -> None:
    facts = TOKENS.read(TOKENS.make(ALICE, 2000), 1999.9)
    assert (facts.address, facts.expires) == (ALICE, 2000)


def test_two_tokens_for_one_account_and_time_are_two() -> None:
    first, second = (TOKENS.read(TOKENS.make(ALICE, 2000), 0.0) for _ in range(2))
    assert first.id != second.id


def test_a_token_ends() -> None:
    token = TOKENS.make(ALICE, 2000)
    for now in (2000.0, 9999.0):
        with pytest.raises(BadSignature, match=r"^Token is expired\.$"):
            TOKENS.read(token, now)


def test_what_this_provider_did_not_make_is_invalid() -> None:
    made = TOKENS.make(ALICE, 2000)
    head, body, mac = made.split(".")
    claims = {"address": ALICE, "exp": 2000, "jti": "1"}
    elsewhere = Tokens(KeyVault(Account(b"\x02" * 32))).make(ALICE, 2000)
    unsigned = jwt.encode(claims, "", algorithm="none")
    forged = jwt.encode(claims, b"0" * 32, algorithm="HS256")
    spoiled = f"{head}.{body}.{mac[:-4]}AAAA"
    for token in (elsewhere, unsigned, forged, spoiled, "", "a.b.c", "\ud800", made + "x" * 2000, head):
        with pytest.raises(BadSignature, match=r"^Token is invalid\.$"):
            TOKENS.read(token, 0.0)


def test_a_token_that_needs_no_nonce_says_so() -> None:
    assert TOKENS.needs_no_nonce(TOKENS.make(ALICE, 2000, without_nonce=True))
    elsewhere = Tokens(KeyVault(Account(b"\x02" * 32))).make(ALICE, 2000, without_nonce=True)
    for token in (TOKENS.make(ALICE, 2000), elsewhere, "", "a.b.c", "\ud800"):
        assert not TOKENS.needs_no_nonce(token)
