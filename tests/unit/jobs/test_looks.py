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


async def test_beyond_those_that_wait_a_caller_is_sent_away_and_turns_come_back() -> None:
    looks, free, begun = Looks(at_once=2, waiting=1), threading.Event(), threading.Semaphore(0)

    def hang() -> int:
        begun.release()
        free.wait(10)
        return 1

    asked = [asyncio.create_task(looks.run(hang)) for _ in range(3)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    with pytest.raises(TooMany):
        await looks.run(lambda: 0)
    assert not begun.acquire(blocking=False)  # the third waits for its turn
    free.set()
    assert await asyncio.gather(*asked) == [1, 1, 1]
    assert await asyncio.gather(*(looks.run(lambda: 5) for _ in range(3))) == [5, 5, 5]


async def test_who_goes_away_frees_no_turn_before_the_look_has_ended() -> None:
    looks, free, begun = Looks(at_once=1, waiting=1), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(10)

    gone = asyncio.create_task(looks.run(hang))
    await asyncio.to_thread(begun.wait)
    gone.cancel()
    waits = asyncio.create_task(looks.run(lambda: 1))
    await asyncio.gather(gone, return_exceptions=True)
    assert not waits.done()
    with pytest.raises(TooMany):
        await looks.run(lambda: 2)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    free.set()
    assert await looks.run(lambda: 3) == 3
