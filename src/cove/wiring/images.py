"""The store of images, for the service and for the owner's commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cove.core.errors import CoveError, SettingsWrong
from cove.core.job import RegistryLogin
from cove.images.registry import RegistryOptions
from cove.images.store import DiskImages, StoreOptions
from cove.jobs.steps import IMAGE_FILE
from cove.ports import ImageSource, ImageStore
from cove.settings import RegistrySettings, Settings

log = logging.getLogger("cove.images")

_CLEAN_SECONDS: Final = 3600.0


def open_images(settings: Settings, state: Path) -> DiskImages:
    """Open the store; it is to be closed. Several processes may have it open.

    Args:
        settings: The owner's.
        state: The state folder, made already.

    Raises:
        SettingsWrong: A registry's settings make no sense.
    """
    given = settings.image_store
    options = StoreOptions(
        registries={name.lower(): _registry(name, entry) for name, entry in settings.registries.items()},
        max_bytes=int(given.max_image),
        max_entries=given.max_files,
        pull_seconds=given.pull_seconds,
        at_once=given.pulls_at_once,
        keep_seconds=given.keep_days * 86_400,
        keep_bytes=int(given.keep_total),
    )
    try:
        return DiskImages(given.folder or state / "images", options, lambda: _used(state / "workspaces"))
    except OSError as problem:
        raise SettingsWrong(
            f"The folder of images cannot be made: {problem.strerror}.", hint="Set image_store.folder."
        ) from None


def image_sources(settings: Settings) -> Mapping[str, ImageSource]:
    """Give what stands behind each name or pattern of the settings."""
    return {
        image: ImageSource(
            source.kind,
            source.reference or (None if source.path is None else str(source.path.absolute())),
            source.checksum,
        )
        for image, source in settings.images.items()
    }


async def keep_clean(store: ImageStore) -> None:
    """Clean the store at once and then every hour, until cancelled."""
    while True:
        try:
            for image in await store.clean():
                log.info("image %s was removed: it was not used for long", image.digest)
        except (CoveError, OSError) as problem:
            log.warning("images could not be cleaned: %s", problem)
        await asyncio.sleep(_CLEAN_SECONDS)


def _registry(name: str, entry: RegistrySettings) -> RegistryOptions:
    password = entry.password.get_secret_value()
    if entry.password_file is not None:
        try:
            password = entry.password_file.read_text("utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsWrong(f"The file registries.{name}.password_file cannot be read.") from None
    if bool(password) is not bool(entry.username):
        raise SettingsWrong(f"registries.{name} should have both a username and a password, or neither.")
    if entry.ca_file is not None and not entry.ca_file.is_file():
        raise SettingsWrong(f"The file registries.{name}.ca_file cannot be read.")
    login = RegistryLogin(entry.username, password) if password else None
    return RegistryOptions(login, entry.insecure, entry.ca_file, entry.stall_seconds)


def _used(workspaces: Path) -> frozenset[str]:
    """Give the images that jobs under way need: each job's workspace names its own."""
    found = set()
    for place in workspaces.glob(f"*/{IMAGE_FILE}"):
        with contextlib.suppress(OSError):
            found.add(place.read_text("ascii"))
    return frozenset(found)
