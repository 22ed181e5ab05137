from __future__ import annotations

import asyncio

from cove.ports import TokenStore

FUTURE = 2_000


async def test_a_token_is_taken_back_once(tokens: TokenStore) -> None:
    assert not await tokens.is_revoked("a")
    assert await tokens.revoke("a", FUTURE)
    assert await tokens.is_revoked("a")
    assert not await tokens.revoke("a", FUTURE)
    assert not await tokens.is_revoked("b")


async def test_of_many_at_once_one_takes_it_back(tokens: TokenStore) -> None:
    answers = await asyncio.gather(*(tokens.revoke("a", FUTURE) for _ in range(20)))
    assert sum(answers) == 1


async def test_what_is_still_good_stays_revoked_when_others_are(tokens: TokenStore) -> None:
    await tokens.revoke("old", 500)
    await tokens.revoke("a", FUTURE)
    await tokens.revoke("b", FUTURE)
    assert await tokens.is_revoked("a")
    assert await tokens.is_revoked("b")


async def test_any_text_may_be_asked_for(tokens: TokenStore) -> None:
    for text in ("", "\0", "\ud800", "x" * 100_000):
        assert not await tokens.is_revoked(text)
