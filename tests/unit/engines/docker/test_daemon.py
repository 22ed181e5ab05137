"""What a daemon lists while containers come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from cove.core.job import RunId
from cove.engines.docker.api import Refused
from cove.engines.docker.config import DockerConfig
from cove.engines.docker.daemon import Daemon


class Breaking:
    """Answers a list only after it broke off some times."""

    def __init__(self, *statuses: int, text: str = "another one") -> None:
        self.statuses, self.text = list(statuses), text

    async def get(self, *_: object, **__: str) -> list[object]:
        if self.statuses:
            raise Refused(self.statuses.pop(0), self.text)
        return []

    async def delete(self, *_: object, **__: str) -> None:
        await self.get()


def daemon(*statuses: int) -> Daemon:
    return Daemon(Breaking(*statuses), DockerConfig(Path("/nowhere")))


async def test_a_list_that_podman_breaks_off_is_asked_for_again() -> None:
    assert await daemon(500, 404, 500).all_parts() == {}


@pytest.mark.parametrize("statuses", [(400,), (500,) * 10])
async def test_what_stays_refused_is_told(statuses: tuple[int, ...]) -> None:
    with pytest.raises(Refused):
        await daemon(*statuses).all_parts()


@pytest.mark.parametrize(("status", "text"), [(404, "gone"), (500, "c1 does not exist in database: no such container")])
async def test_a_container_that_goes_meanwhile_is_not_there(status: int, text: str) -> None:
    assert (
        await Daemon(Breaking(status, text=text), DockerConfig(Path("/nowhere"))).facts(RunId(f"{'0' * 32}-1")) is None
    )


STOPPED = "cannot remove container c1 as it could not be stopped: container state improper: stopped"


async def test_one_that_ends_while_it_is_to_be_ended_is_removed_all_the_same() -> None:
    await Daemon(Breaking(500, 500, text=STOPPED), DockerConfig(Path("/nowhere")))._remove_container("c1")
    for refused in (Breaking(500), Breaking(*(500,) * 6, text=STOPPED)):
        with pytest.raises(Refused):
            await Daemon(refused, DockerConfig(Path("/nowhere")))._remove_container("c1")
