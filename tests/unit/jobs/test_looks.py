from __future__ import annotations

import asyncio
import threading

import pytest

from cove.core.errors import DataMissing, TooMany
from cove.jobs.looks import Looks


async def test_a_look_gives_what_it_gives_and_raises_what_it_raises() -> None:
    looks = Looks()
    assert await looks.run(lambda: 7) == 7

    def missing() -> int:
        raise DataMissing("gone")

    with pytest.raises(DataMissing, match="gone"):
        await looks.run(missing)


async def test_beyond_those_that_look_a_caller_is_sent_away_and_places_come_back() -> None:
    looks, free, begun = Looks(at_once=2), threading.Event(), threading.Semaphore(0)

    def hang() -> int:
        begun.release()
        free.wait(120)
        return 1

    asked = [asyncio.create_task(looks.run(hang)) for _ in range(2)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    with pytest.raises(TooMany):
        await looks.run(lambda: 0)
    free.set()
    assert await asyncio.gather(*asked) == [1, 1]
    for _ in range(50):
        assert await asyncio.gather(*(looks.run(lambda: 5) for _ in range(2))) == [5, 5]


async def test_who_goes_away_frees_no_place_before_the_look_has_ended() -> None:
    looks, free, begun = Looks(at_once=1), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(120)

    gone = asyncio.create_task(looks.run(hang))
    await asyncio.to_thread(begun.wait)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    with pytest.raises(TooMany):
        await looks.run(lambda: 2)
    free.set()
    async with asyncio.timeout(120):
        while True:
            try:
                found = await looks.run(lambda: 3)
            except TooMany:
                await asyncio.to_thread(begun.wait)
            else:
                assert found == 3
                return


async def test_slow_looks_hold_no_thread_that_others_need() -> None:
    looks, gone_on = Looks(), threading.Event()
    slow = [asyncio.ensure_future(looks.run(lambda: gone_on.wait(120))) for _ in range(40)]
    try:
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 120) == 7
    finally:
        gone_on.set()
        assert all(await asyncio.gather(*slow))
