"""What a daemon lists while containers come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from cove.engines.docker.api import Refused
from cove.engines.docker.config import DockerConfig
from cove.engines.docker.daemon import Daemon


class Breaking:
    """Answers a list only after it broke off some times."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)

    async def get(self, *_: object, **__: str) -> list[object]:
        if self.statuses:
            raise Refused(self.statuses.pop(0), "no such container")
        return []


def daemon(*statuses: int) -> Daemon:
    return Daemon(Breaking(*statuses), DockerConfig(Path("/nowhere")))


async def test_a_list_that_podman_breaks_off_is_asked_for_again() -> None:
    assert await daemon(500, 404, 500).all_parts() == {}


@pytest.mark.parametrize("statuses", [(400,), (500,) * 10])
async def test_what_stays_refused_is_told(statuses: tuple[int, ...]) -> None:
    with pytest.raises(Refused):
        await daemon(*statuses).all_parts()
