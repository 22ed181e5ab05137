"""The daemon's events instead of polling: who ended is heard at once, and looked for again after every gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from cove.core.errors import Unavailable
from cove.core.job import RunId
from cove.engines.docker import containers
from cove.engines.docker.api import Api, Refused

_FIRST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 5.0
_ENDS: Final = frozenset({"die", "died"})


async def watch(
    api: Api,
    name: str,
    hear: Callable[[RunId, str], None],
    look_again: Callable[[], Awaitable[None]],
    hear_nothing: Callable[[], None],
) -> None:
    """Listen for ever.

    Args:
        api: The daemon.
        name: The engine's own: what its containers are labelled with.
        hear: Is told of every run whose main container ended, with the daemon's own name of that.
        look_again: Is awaited once the events come, also after they had stopped.
        hear_nothing: Is called when they stop.
    """
    pause = _FIRST_SECONDS
    while True:
        try:
            looking = asyncio.create_task(_look(look_again))
            try:
                async for event in api.lines("GET", "/events", filters=json.dumps({"type": ["container"]})):
                    pause = _FIRST_SECONDS
                    run = _ended(event, name)
                    if run is not None:
                        hear(run, str((event.get("Actor") or {}).get("ID")))
            finally:
                hear_nothing()
                looking.cancel()
        except (Unavailable, Refused):
            pass
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_SECONDS)


async def _look(look_again: Callable[[], Awaitable[None]]) -> None:
    try:
        await look_again()
    except (Unavailable, Refused):
        return


def _ended(event: dict[str, Any], name: str) -> RunId | None:
    """Give the run whose main container an event says ended; the events carry its labels."""
    if event.get("Action", event.get("status")) not in _ENDS:
        return None
    told = (event.get("Actor") or {}).get("Attributes") or {}
    if told.get(containers.ENGINE_LABEL) != name or told.get(containers.PART_LABEL) != containers.MAIN:
        return None
    return RunId(told[containers.RUN_LABEL])
