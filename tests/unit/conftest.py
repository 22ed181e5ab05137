"""What unit tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.support.waitless import WaitlessLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give the tests that ask for it a loop in which nothing takes time."""
    return {"loop": WaitlessLoop if item.get_closest_marker("waitless") else asyncio.new_event_loop}
