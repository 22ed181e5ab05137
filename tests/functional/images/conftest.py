"""A real registry, and the store before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import RunningRegistry
from tests.support.registries import a_registry

from cove.core.job import RegistryLogin
from cove.images.registry import RegistryOptions
from cove.images.store import DiskImages, StoreOptions

Open = Callable[..., DiskImages]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with a_registry(tmp_path_factory.mktemp("registry") / "open") as running:
        yield running


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """One that shows nothing without a login."""
    with a_registry(tmp_path_factory.mktemp("registry") / "closed", login=True) as running:
        yield running


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Opens stores of one folder, for registries that speak plain HTTP."""
    opened: list[DiskImages] = []

    def open_one(
        *registries: str,
        login: RegistryLogin | None = None,
        used: Callable[[], Collection[str]] = tuple,
        stall_seconds: float = 30.0,
        **options: Any,
    ) -> DiskImages:
        reached = {name: RegistryOptions(login, insecure=True, stall_seconds=stall_seconds) for name in registries}
        opened.append(DiskImages(tmp_path / "images", StoreOptions(reached, **options), used))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
